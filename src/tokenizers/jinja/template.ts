/**
 * Chat templates, evaluated as Python's Jinja does in transformers: values print, compare and fail as in Python. The
 * syntax is read by
 * @huggingface/jinja.
 */
import { KindlingError } from "../../base/index.ts";
import { countCost, countOperator, itemsOf, printed } from "./costs.ts";
import { runFilter } from "./filters.ts";
import { plain } from "./foreign.ts";
import { globals, Scope } from "./globals.ts";
import { getItem, loopState, sliced, unary } from "./items.ts";
import { Meter } from "./meter.ts";
import { binary } from "./operators.ts";
import { dictMethods, listMethods, stringMethods } from "./strings.ts";
import {
  type Call,
  GROUP,
  type Identifier,
  NOT_TEST,
  type Node,
  type Parameter,
  parseTemplate,
  TEST,
  TUPLE_END,
  WITH,
} from "./syntax.ts";
import { runTest } from "./tests.ts";
import {
  Callable,
  Dict,
  defined,
  Float,
  fromJs,
  isTrue,
  type Keywords,
  Namespace,
  repr,
  str,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

class Break extends Error {}
class Continue extends Error {}

/** What one turn of a loop costs: its scope, and all that `loop` tells. */
const LOOP_STEPS = 8;

export interface TemplateOptions {
  /** What strftime_now takes for now. @default the time of rendering */
  now?: Date;
}

/** A template, read once and rendered often. */
export class Template {
  private readonly program: Node;
  private readonly isStrict: boolean;

  /**
   * @param options as transformers renders chats, or as lm-evaluation-harness renders tasks: with all white space, and
   *   names that are not there are errors. @default "chat"
   * @throws TemplateError for a text that is no template
   */
  constructor(source: string, { style = "chat" }: { style?: "chat" | "task" } = {}) {
    this.program = parseTemplate(source, style === "task");
    this.isStrict = style === "task";
  }

  /** @throws TemplateError where the template raises an error, or Python would, and beyond limits of steps and depth */
  render(variables: Readonly<Record<string, unknown>>, options: TemplateOptions = {}): string {
    return this.measure(variables, options).text;
  }

  /** The text, and how many steps it took. @throws as `render` */
  measure(
    variables: Readonly<Record<string, unknown>>,
    { now = new Date() }: TemplateOptions = {},
  ): { text: string; steps: number } {
    const meter = new Meter();
    try {
      const scope = new Scope(globals(now, meter));
      for (const [name, value] of Object.entries(variables)) scope.set(name, fromJs(value));
      const text = new Renderer(meter, this.isStrict).block([this.program], scope);
      return { text, steps: meter.steps };
    } catch (cause) {
      throw asTemplateError(cause);
    }
  }
}

/** What JavaScript refuses, where Python would too. */
function asTemplateError(cause: unknown): unknown {
  if (cause instanceof KindlingError) return cause;
  if (cause instanceof Break || cause instanceof Continue)
    return new TemplateError(`'${cause instanceof Break ? "break" : "continue"}' outside loop`, cause);
  return new TemplateError((cause as Error).message, cause);
}

class Renderer {
  private readonly meter: Meter;
  private readonly isStrict: boolean;

  constructor(meter: Meter, isStrict: boolean) {
    this.meter = meter;
    this.isStrict = isStrict;
  }

  /** @throws TemplateError for what is not there, where a template may not use it */
  private present(node: Node, scope: Scope): Value {
    const value = this.value(node, scope);
    return this.isStrict ? defined(value) : value;
  }

  block(nodes: readonly Node[], scope: Scope): string {
    let out = "";
    for (const node of nodes) out += this.text(node, scope);
    return out;
  }

  /** What a node writes. */
  private text(node: Node, scope: Scope): string {
    const { meter } = this;
    meter.step();
    const text = meter.within(() => this.statement(node, scope));
    meter.take(text.length);
    return text;
  }

  private statement(node: Node, scope: Scope): string {
    switch (node.type) {
      case "Program":
        return this.block(node.body, scope);
      case "Comment":
        return "";
      case "If":
        return this.block(isTrue(this.present(node.test, scope)) ? node.body : node.alternate, scope);
      case "For":
        return this.loop(node, scope);
      case "Break":
        throw new Break();
      case "Continue":
        throw new Continue();
      case "Set":
        this.assign(
          node.assignee,
          node.value ? this.value(node.value, scope) : this.block(node.body, new Scope(scope)),
          scope,
        );
        return "";
      case "Macro":
        scope.set(node.name.value, this.macro(node.args, node.body, scope));
        return "";
      case "CallStatement": {
        const { args, keywords } = this.arguments(node.call.args, scope);
        if (node.call.callee.type === "Identifier" && node.call.callee.value === WITH) {
          const childScope = new Scope(scope);
          for (const [name, value] of keywords) childScope.set(name, value);
          return this.block(node.body, childScope);
        }
        const caller = this.macro(node.callerArgs ?? [], node.body, scope);
        return printed(
          this.meter,
          call(this.value(node.call.callee, scope), args, new Map([...keywords, ["caller", caller]])),
        );
      }
      case "FilterStatement":
        return printed(this.meter, this.filter(node.filter, this.block(node.body, new Scope(scope)), scope));
      default:
        return printed(this.meter, this.present(node, scope));
    }
  }

  private loop({ loopvar, iterable, body, defaultBlock }: Node & { type: "For" }, scope: Scope): string {
    const isFiltered = iterable.type === "SelectExpression";
    const all = itemsOf(this.meter, this.present(isFiltered ? iterable.lhs : iterable, scope));
    const inner = (item: Value): Scope => {
      const childScope = new Scope(scope);
      this.assign(loopvar, item, childScope);
      return childScope;
    };
    const items = isFiltered ? all.filter((item) => isTrue(this.value(iterable.test, inner(item)))) : all;
    if (items.length === 0) return this.block(defaultBlock, scope);
    let out = "";
    let last: Value | undefined;
    for (const [i, item] of items.entries()) {
      this.meter.step(LOOP_STEPS);
      const itemScope = inner(item);
      const changed = new Callable(([value = null]) => {
        this.meter.take(this.meter.size(value));
        const isNew = last === undefined || plain(repr(last)) !== plain(repr(value));
        last = value;
        return isNew;
      });
      itemScope.set("loop", loopState(items, i, changed));
      // what was written before a break stays
      try {
        for (const node of body) out += this.text(node, itemScope);
      } catch (signal) {
        if (signal instanceof Break) break;
        if (!(signal instanceof Continue)) throw signal;
      }
    }
    return out;
  }

  private assign(target: Node, value: Value, scope: Scope): void {
    if (target.type === "Identifier") scope.set(target.value, value);
    else if (target.type === "TupleLiteral") {
      const items = itemsOf(this.meter, value);
      if (items.length !== target.value.length)
        throw new TemplateError(`${items.length < target.value.length ? "not enough" : "too many"} values to unpack`);
      for (const [i, part] of target.value.entries()) this.assign(part, items[i], scope);
    } else if (target.type === "MemberExpression" && target.property.type === "Identifier") {
      const holder = this.value(target.object, scope);
      if (!(holder instanceof Namespace)) throw new TemplateError("cannot assign attribute on non-namespace object");
      holder.attributes.set(target.property.value, value);
    } else throw new TemplateError("cannot assign to this");
  }

  private macro(parameters: readonly Parameter[], body: readonly Node[], scope: Scope): Callable {
    return new Callable((args, keywords) => {
      const callScope = new Scope(scope);
      const left = new Map(keywords);
      for (const [i, parameter] of parameters.entries()) {
        const name = parameter.type === "Identifier" ? parameter.value : parameter.key.value;
        const argument = args[i] ?? left.get(name);
        const usual =
          parameter.type === "Identifier"
            ? new Undefined(`parameter '${name}' was not provided`)
            : this.value(parameter.value, callScope);
        callScope.set(name, argument ?? usual);
        left.delete(name);
      }
      if (args.length > parameters.length) callScope.set("varargs", new Tuple(args.slice(parameters.length)));
      for (const [name, value] of left) callScope.set(name, value);
      return this.block(body, callScope);
    });
  }

  private value(node: Node, scope: Scope): Value {
    this.meter.step();
    this.meter.enter();
    const value = this.evaluated(node, scope);
    this.meter.leave();
    return value;
  }

  private evaluated(node: Node, scope: Scope): Value {
    switch (node.type) {
      case "Identifier":
        return scope.get(node.value);
      case "IntegerLiteral":
      case "StringLiteral":
        return node.value;
      case "FloatLiteral":
        return new Float(node.value);
      case "ArrayLiteral":
        return this.meter.charge(node.value.map((part) => this.value(part, scope)));
      case "TupleLiteral":
        return this.meter.charge(
          new Tuple(
            node.value
              .filter((part) => part.type !== "StringLiteral" || part.value !== TUPLE_END)
              .map((part) => this.value(part, scope)),
          ),
        );
      case "ObjectLiteral":
        return this.meter.charge(
          new Dict(
            [...node.value].map(([key, part]): [Value, Value] => [this.value(key, scope), this.value(part, scope)]),
          ),
        );
      case "UnaryExpression":
        return unary(node.operator.value, this.value(node.argument, scope));
      case "BinaryExpression":
        return this.binary(node, scope);
      case "Ternary":
        return this.value(isTrue(this.value(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
      case "SelectExpression": // "x if y" without else
        return isTrue(this.value(node.test, scope))
          ? this.value(node.lhs, scope)
          : new Undefined("the inline if-expression evaluated to false and no else section was defined.");
      case "TestExpression":
        return this.test(node.test.value, this.value(node.operand, scope), []) !== node.negate;
      case "FilterExpression":
        return this.filter(node.filter, this.value(node.operand, scope), scope);
      case "MemberExpression":
        return this.member(node, scope);
      case "CallExpression": {
        const { args, keywords } = this.arguments(node.args, scope);
        return call(this.value(node.callee, scope), args, keywords);
      }
      default:
        throw new TemplateError(`unexpected ${node.type}`);
    }
  }

  private binary(
    { operator: { value: operator }, left, right }: Node & { type: "BinaryExpression" },
    scope: Scope,
  ): Value {
    if (operator === "and" || operator === "or") {
      const first = this.value(left, scope);
      return isTrue(first) === (operator === "and") ? this.value(right, scope) : first;
    }
    // a < b < c is a < b and b < c
    if (isComparison(operator) && left.type === "BinaryExpression" && isComparison(left.operator.value)) {
      return (
        isTrue(this.binary(left, scope)) &&
        this.operate(operator, this.value(left.right, scope), this.value(right, scope))
      );
    }
    return this.operate(operator, this.value(left, scope), this.value(right, scope));
  }

  private operate(operator: string, a: Value, b: Value): Value {
    countOperator(this.meter, operator, a, b);
    return this.meter.charge(binary(operator, a, b));
  }

  private test(name: string, value: Value, args: readonly Value[]): boolean {
    this.meter.take(
      args.reduce<number>(
        (sum, arg) => sum + Math.max(this.meter.length(arg), Math.min(this.meter.size(arg), this.meter.size(value))),
        0,
      ),
    );
    if (typeof value === "string") this.meter.take(value.length);
    return runTest(name, value, args);
  }

  private filter(filter: Identifier | Call, value: Value, scope: Scope): Value {
    const name = filter.type === "Identifier" ? filter.value : (filter.callee as Identifier).value;
    const { args, keywords } = this.arguments(filter.type === "Identifier" ? [] : filter.args, scope);
    if (name === GROUP) return value;
    if (name.startsWith(TEST)) return this.test(name.slice(TEST.length), value, args);
    if (name.startsWith(NOT_TEST)) return !this.test(name.slice(NOT_TEST.length), value, args);
    return runFilter(name, value, args, keywords, this.meter);
  }

  private arguments(nodes: readonly Node[], scope: Scope): { args: Value[]; keywords: Map<string, Value> } {
    const args: Value[] = [];
    const keywords = new Map<string, Value>();
    for (const node of nodes) {
      if (node.type === "KeywordArgumentExpression") keywords.set(node.key.value, this.value(node.value, scope));
      else if (node.type === "SpreadExpression")
        for (const item of itemsOf(this.meter, this.value(node.argument, scope))) args.push(item);
      else if (node.type === "KeywordSpreadExpression") {
        const dict = this.value(node.argument, scope);
        if (!(dict instanceof Map))
          throw new TemplateError(`argument after ** must be a mapping, not ${typeName(dict)}`);
        for (const [name, value] of dict) keywords.set(plain(str(name)), value);
      } else args.push(this.value(node, scope));
    }
    return { args, keywords };
  }

  private member({ object, property, computed }: Node & { type: "MemberExpression" }, scope: Scope): Value {
    const holder = defined(this.value(object, scope));
    if (!computed)
      return this.attribute(holder, property.type === "Identifier" ? property.value : str(this.value(property, scope)));
    if (property.type === "SliceExpression") {
      const [start, stop, step] = [property.start, property.stop, property.step].map((part) =>
        part ? this.value(part, scope) : null,
      );
      this.meter.take(this.meter.length(holder));
      return this.meter.charge(sliced(holder, start, stop, step));
    }
    if (!(holder instanceof Map)) this.meter.take(this.meter.length(holder)); // characters are counted from the start
    return getItem(holder, this.value(property, scope));
  }

  /** value.name: methods before keys, as Python's attributes come before items. */
  private attribute(value: Value, name: string): Value {
    const methods =
      typeof value === "string"
        ? stringMethods
        : value instanceof Map
          ? dictMethods
          : Array.isArray(value)
            ? listMethods
            : undefined;
    if (!methods || !Object.hasOwn(methods, name)) return getItem(value, name);
    return new Callable((args, keywords) => {
      countCost(this.meter, name, value, args, keywords);
      return this.meter.charge(methods[name](value as never, args, keywords));
    });
  }
}

const isComparison = (operator: string) => ["<", "<=", ">", ">=", "==", "!="].includes(operator);

function call(callee: Value, args: readonly Value[], keywords: Keywords): Value {
  const known = defined(callee);
  if (known instanceof Callable) return known.call(args, keywords);
  throw new TemplateError(`'${typeName(known)}' object is not callable`);
}
