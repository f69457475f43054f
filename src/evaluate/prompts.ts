import { DataError } from "../base/index.ts";
import { PythonRandom, stripSpace } from "../metrics/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { leavesOutAsked, type TaskDocuments } from "./documents.ts";
import { parsePythonLiteral } from "./python-literal.ts";
import { isDigits, pythonText } from "./python-text.ts";
import type { ChoiceRule, Doc, DocPart, DocRule, EvalTask } from "./task.ts";

/** What a model is asked: how probable a text is, alone or behind another, or to write one. */
export type EvalRequest =
  | { type: "loglikelihood"; context: string; continuation: string }
  | { type: "loglikelihood_rolling"; text: string }
  | { type: "generate_until"; context: string };

/** A row with all that is asked about it, and what would be right. */
export interface AskedDoc {
  docId: number;
  doc: Doc;
  requests: readonly EvalRequest[];
  target: DocPart;
  choices: readonly string[] | undefined;
  /** The number of the right choice; several where any of them will do; -100 for none. Only of multiple choice. */
  gold: number | readonly number[];
  /** Texts that would be right. */
  references: readonly string[];
}

type Templates = Map<string, InstanceType<Tokenizer["Template"]>>;

/**
 * Makes prompts of the rows of a task, as lm-evaluation-harness 0.4.13 does: examples are drawn row by row, so that
 * each row has the same ones whatever the model.
 */
export class TaskPrompts {
  private readonly task: EvalTask;
  private readonly documents: TaskDocuments;
  private readonly Template: Tokenizer["Template"];
  private readonly templates: Templates = new Map();
  private readonly random: PythonRandom;
  private readonly hasSeveralInputs: boolean;

  constructor(task: EvalTask, documents: TaskDocuments, Template: Tokenizer["Template"], seed: number) {
    this.task = task;
    this.documents = documents;
    this.Template = Template;
    this.random = new PythonRandom(seed);
    this.hasSeveralInputs = typeof this.textOf(documents.docs[0]) === "number";
  }

  /** The requests of the first rows, in their order. @throws DataError naming the row, for a rule that fails */
  *asked(limit = Number.POSITIVE_INFINITY): Generator<AskedDoc> {
    const { docs } = this.documents;
    for (let docId = 0; docId < Math.min(limit, docs.length); docId++) {
      try {
        yield this.askedDoc(docId, docs[docId]);
      } catch (cause) {
        throw new DataError({
          where: `task ${this.task.name}, row ${docId}`,
          expected: "a row that fits the task's rules",
          received: (cause as Error).message,
          fix: "check docToText, docToTarget and docToChoice, and the fields of the row",
          cause,
        });
      }
    }
  }

  private askedDoc(docId: number, doc: Doc): AskedDoc {
    const { outputType, docToChoice } = this.task;
    const target = this.targetOf(doc);
    const choices = docToChoice === undefined ? undefined : this.choicesOf(doc, docToChoice);
    const requests = this.requestsOf(doc, target, choices);
    const gold = outputType === "multiple_choice" ? this.goldOf(doc, target, choices as readonly string[]) : [];
    return { docId, doc, requests, target, choices, gold, references: referencesOf(target, choices) };
  }

  private requestsOf(doc: Doc, target: DocPart, choices: readonly string[] | undefined): EvalRequest[] {
    const { outputType, targetDelimiter, metrics } = this.task;
    if (outputType === "loglikelihood_rolling") return [{ type: outputType, text: pythonText(target) }];
    const contexts = this.contextsOf(doc, choices);
    const [context] = contexts;
    if (outputType === "generate_until") return [{ type: outputType, context }];
    const ask = (before: string, continuation: string): EvalRequest => ({
      type: "loglikelihood",
      context: before,
      continuation,
    });
    if (outputType === "loglikelihood") return [ask(context, pythonText(target))];
    const list = choices as readonly string[];
    const requests = this.hasSeveralInputs
      ? contexts.map((before) => ask(before, `${targetDelimiter}${pythonText(target)}`))
      : list.map((choice) => ask(context, `${targetDelimiter}${choice}`));
    // how probable the choices are by themselves
    const isMutual = metrics.some(({ metric }) => metric === "acc_mutual_info");
    return isMutual ? [...requests, ...list.map((choice) => ask("", `${targetDelimiter}${choice}`))] : requests;
  }

  /** What stands before the answer: one text, or one for each choice where the choices are in the question. */
  private contextsOf(doc: Doc, choices: readonly string[] | undefined): string[] {
    const { description, numFewshot, genPrefix } = this.task;
    const before = [
      Object.hasOwn(doc, description) ? pythonText(doc[description]) : this.render(description, doc),
      ...(numFewshot > 0 ? this.examplesFor(doc).map((example) => this.exampleOf(example)) : []),
    ].join("");
    const prefix = genPrefix === undefined ? "" : this.fieldOrTemplate(genPrefix, doc);
    const text = this.textOf(doc);
    if (this.hasSeveralInputs) return (choices ?? []).map((choice) => before + this.question(choice, prefix, ""));
    return [before + this.question(pythonText(text), prefix, this.task.targetDelimiter)];
  }

  private question(text: string, prefix: string, delimiter: string): string {
    const isApart = text !== "" && prefix !== "" && !endsInSpace(text) && !startsWithSpace(prefix);
    return `${text}${isApart ? delimiter : ""}${prefix}`;
  }

  private examplesFor(doc: Doc): readonly Doc[] {
    const { numFewshot, fewshot } = this.task;
    const { examples } = this.documents;
    const asked = JSON.stringify(doc);
    const without = (list: readonly Doc[]) => list.filter((example) => JSON.stringify(example) !== asked);
    const isLeftOut = leavesOutAsked(this.task);
    if (fewshot.sampler === "first_n") return (isLeftOut ? without(examples) : examples).slice(0, numFewshot);
    if (!isLeftOut) return this.random.sample(examples, numFewshot);
    const drawn = without(this.random.sample(examples, numFewshot + 1)).slice(0, numFewshot);
    return drawn.length === numFewshot ? drawn : this.random.sample(without(examples), numFewshot);
  }

  private exampleOf(doc: Doc): string {
    const { targetDelimiter, fewshotDelimiter, docToChoice, genPrefix } = this.task;
    const choices = docToChoice === undefined ? undefined : this.choicesOf(doc, docToChoice);
    const text = this.textOf(doc);
    const question = this.hasSeveralInputs ? (choices as readonly string[])[text as number] : pythonText(text);
    const target = this.targetOf(doc);
    if (target === "") return question;
    const isNumber = typeof target === "number" && choices !== undefined && !this.hasSeveralInputs;
    const answer = isNumber ? choices[target] : pythonText(Array.isArray(target) ? target[0] : target);
    const prefix = genPrefix === undefined ? "" : this.fieldOrTemplate(genPrefix, doc);
    const isApart = prefix !== "" && answer !== "" && !endsInSpace(prefix) && !startsWithSpace(answer);
    const delimiter =
      prefix === "" || (question !== "" && !endsInSpace(question) && !startsWithSpace(prefix)) ? targetDelimiter : "";
    return `${question}${delimiter}${prefix}${isApart ? " " : ""}${answer}${fewshotDelimiter}`;
  }

  private textOf(doc: Doc): DocPart {
    const { docToText, docToChoice } = this.task;
    const text = this.ruleValue(docToText, doc);
    const isNumber = typeof text === "string" && isTemplate(docToText, doc) && docToChoice !== undefined;
    return isNumber && isDigits(text) ? Number(text) : text;
  }

  private targetOf(doc: Doc): DocPart {
    const { docToTarget, docToChoice } = this.task;
    const target = this.ruleValue(docToTarget, doc);
    if (typeof target !== "string" || !isTemplate(docToTarget, doc)) return target;
    if (docToChoice !== undefined && isDigits(target)) return Number(target);
    if (target.length < 2 || !target.startsWith("[") || !target.endsWith("]")) return target;
    try {
      return parsePythonLiteral(target) as DocPart;
    } catch {
      return target; // no list after all
    }
  }

  private choicesOf(doc: Doc, rule: ChoiceRule): readonly string[] {
    if (typeof rule === "function") return rule(doc);
    if (typeof rule !== "string") return rule;
    const choices = Object.hasOwn(doc, rule) ? doc[rule] : parsePythonLiteral(this.render(rule, doc));
    if (Array.isArray(choices) && choices.length > 0) return choices.map(pythonText);
    throw new TypeError(`the choices ${JSON.stringify(choices)} are no list`);
  }

  private goldOf(doc: Doc, target: DocPart, choices: readonly string[]): number | readonly number[] {
    const gold = this.hasSeveralInputs ? this.textOf(doc) : target;
    const placeOf = (value: string | number) => {
      const place = typeof value === "number" ? value : choices.indexOf(value);
      return place >= 0 && place < choices.length ? place : NO_CHOICE;
    };
    return typeof gold === "object" ? gold.map(placeOf) : placeOf(gold);
  }

  private ruleValue(rule: DocRule, doc: Doc): DocPart {
    if (typeof rule === "number") return rule;
    if (typeof rule === "function") return rule(doc);
    return Object.hasOwn(doc, rule) ? (doc[rule] as DocPart) : this.render(rule, doc);
  }

  private fieldOrTemplate(rule: string, doc: Doc): string {
    return Object.hasOwn(doc, rule) ? pythonText(doc[rule]) : this.render(rule, doc);
  }

  private render(source: string, doc: Doc): string {
    const template = this.templates.get(source) ?? new this.Template(source, { style: "task" });
    this.templates.set(source, template);
    return template.render(doc);
  }
}

/** The place of a target that is no choice: no prediction is it. */
export const NO_CHOICE = -100;

const endsInSpace = (text: string) => stripSpace(text.slice(-1)) === "";
const startsWithSpace = (text: string) => stripSpace(text.slice(0, 1)) === "";
/** Whether a rule is rendered, and no field's name. */
const isTemplate = (rule: DocRule, doc: Doc) => typeof rule === "string" && !Object.hasOwn(doc, rule);

function referencesOf(target: DocPart, choices: readonly string[] | undefined): string[] {
  if (typeof target === "object") return target.map(pythonText);
  return [choices && typeof target === "number" ? choices[target] : pythonText(target)];
}
