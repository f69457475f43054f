import { create, toBinary } from "@bufbuild/protobuf";
import { bytesPerElement, type DType, GraphError, hostArrayFrom } from "../base/index.ts";
import { ConstantOp, type Graph, isStatic, Node, PlaceholderOp, type Shape, type Size, Value } from "../ir/index.ts";
import {
  type LoweredBody,
  type Lowering,
  ONNX_UINT32,
  type OnnxAttributes,
  type OnnxDomain,
  onnxTypeCode,
} from "../ops/index.ts";
import { idleOptimizers } from "./idle-optimizers.ts";
import type { OnnxModel, WriteOptions } from "./onnx-model.ts";
import {
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
} from "./onnx-pb.ts";
import { elementInfo, graphAttribute, modelProto, nodeProto, valueInfo } from "./onnx-protos.ts";
import { OUTSIDE_BYTES, type OutsideConstant, outsideData } from "./outside-constant.ts";
import { entryOf } from "./passes.ts";

/** Writes a graph as an ONNX model with one named input and output for each of the graph's. */
export function writeOnnx(graph: Graph, options: WriteOptions = {}): OnnxModel {
  return new OnnxWriter(graph, options).write();
}

class OnnxWriter implements Lowering {
  private readonly graph: Graph;
  private readonly names = new Map<Value, string>();
  private protos: NodeProto[] = [];
  private readonly computed = new Set<string>();
  private readonly initializers: TensorProto[] = [];
  private readonly outsideConstants: OutsideConstant[] = [];
  private readonly unpacked = new Set<string>();
  private readonly constants = new Map<string, string>();
  private shapeVectors = new Map<string, string>();
  private next = 0;
  /** Scope and op of the node being written: profiles show it. */
  private origin = "";

  readonly isWebGpu: boolean;
  readonly channelBlock: number;
  private readonly options: WriteOptions;
  private readonly cpuNodes: string[] = [];
  private readonly domains = new Set<OnnxDomain>();
  private readonly opTypes = new Set<string>();

  constructor(graph: Graph, options: WriteOptions) {
    const { isWebGpu = false, channelBlock = 0 } = options;
    this.graph = graph;
    this.options = options;
    this.isWebGpu = isWebGpu;
    this.channelBlock = channelBlock;
  }

  keepOnCpu(): void {
    if (this.isWebGpu) this.cpuNodes.push(this.protos[this.protos.length - 1].name);
  }

  keepUnpacked(constant: string): void {
    this.unpacked.add(constant);
  }

  write(): OnnxModel {
    const { inputNames: wanted = [], weights = new Map<Value, TensorProto>() } = this.options;
    const feeds = this.graph.inputs.filter((input) => !weights.has(input));
    const inputNames = feeds.map((input, i) => {
      const name = wanted[i] ?? `in${i}`;
      this.names.set(input, this.crossesAs(input.dtype) === input.dtype ? name : this.cast(name, input.dtype));
      return name;
    });
    for (const [value, weight] of weights) {
      this.names.set(value, weight.name);
      this.initializers.push(weight);
    }
    for (const node of this.graph.nodes) this.writeNode(node);
    const outputNames = this.graph.outputs.map((output, i) => this.writeOutput(output, i));
    // a constant that is an input too may be given anew for a run, so that no kernel prepares itself for it
    const replaceable = this.outsideConstants.filter(({ name }) => this.unpacked.has(name));
    const model = modelProto({
      domains: this.domains,
      node: this.protos,
      initializer: this.initializers,
      input: [
        ...feeds.map((input, i) => valueInfo(inputNames[i], this.crossesAs(input.dtype), input.shape)),
        ...replaceable.map(({ name, dtype, shape }) => valueInfo(name, dtype, shape)),
      ],
      output: this.graph.outputs.map((output, i) =>
        valueInfo(outputNames[i], this.crossesAs(output.dtype), output.shape),
      ),
    });
    return {
      bytes: toBinary(ModelProtoSchema, model),
      cpuNodes: this.cpuNodes,
      inputNames,
      outputNames,
      outsideConstants: this.outsideConstants,
      idleOptimizers: idleOptimizers(this.opTypes),
    };
  }

  private writeNode(node: Node): void {
    if (node.op instanceof PlaceholderOp) return;
    if (node.op instanceof ConstantOp) {
      const { shape } = node.outputs[0];
      if (!isStatic(shape))
        throw new GraphError({
          where: "onnx",
          expected: "constants of known shape",
          received: `[${shape.join(", ")}]`,
          fix: "report this",
        });
      this.names.set(node.outputs[0], this.initializer(node.op));
      return;
    }
    // ONNX Runtime's CPU kernels do not compute in bfloat16: widen, compute in f32, round back
    const isBfloat =
      !entryOf(node).acceptsBfloat16 &&
      !node.op.bodies &&
      [...node.inputs, ...node.outputs].some((value) => value.dtype === "bf16");
    const inputs = node.inputs.map((input) => {
      const name = this.nameOf(input);
      return isBfloat && input.dtype === "bf16" ? this.cast(name, "f32") : name;
    });
    this.origin = `${node.scope}/${node.op.name}`;
    const outputs = entryOf(node).lower(this, inputs, isBfloat ? widened(node) : node);
    node.outputs.forEach((output, i) => {
      this.names.set(output, isBfloat && output.dtype === "bf16" ? this.cast(outputs[i], "bf16") : outputs[i]);
    });
  }

  private nameOf(value: Value): string {
    const name = this.names.get(value);
    if (name !== undefined) return name;
    throw new GraphError({
      where: "onnx",
      expected: "inputs written before their users",
      received: value.node.op.name,
      fix: "report this as a bug",
    });
  }

  /** Outputs need names of their own: a node that copies or renames stands in front of each. */
  private writeOutput(output: Value, index: number): string {
    const name = this.nameOf(output);
    const wanted = this.options.outputNames?.[index];
    if (wanted !== undefined) {
      this.protos.push(nodeProto({ opType: "Identity", input: [name], output: [wanted] }));
      return wanted;
    }
    const isPlain = this.graph.outputs.indexOf(output) === index && this.computed.has(name);
    const crossing = this.crossesAs(output.dtype);
    if (crossing !== output.dtype) return this.cast(name, crossing);
    return isPlain ? name : this.node("Identity", [name]);
  }

  /** The dtype in which a tensor goes into the model and out of it. */
  private crossesAs(dtype: DType): DType {
    return dtype === "bf16" && !this.options.hasBfloat16 ? "f32" : dtype;
  }

  private cast(name: string, to: DType): string {
    return this.node("Cast", [name], { to: onnxTypeCode[to] });
  }

  node(opType: string, inputs: readonly string[], attributes: OnnxAttributes = {}, domain: OnnxDomain = ""): string {
    return this.nodes(opType, inputs, 1, attributes, domain)[0];
  }

  nodes(
    opType: string,
    inputs: readonly string[],
    count: number,
    attributes: OnnxAttributes = {},
    domain: OnnxDomain = "",
  ): string[] {
    const output = Array.from({ length: count }, () => `t${this.next++}`);
    for (const name of output) this.computed.add(name);
    this.domains.add(domain);
    this.opTypes.add(opType);
    this.protos.push(
      nodeProto({ opType, domain, name: `${this.origin}/${output[0]}`, input: inputs, output, attributes }),
    );
    return output;
  }

  constant(dtype: DType, shape: readonly number[], values: readonly number[]): string {
    return this.initializer(new ConstantOp(hostArrayFrom(dtype, values), { dtype, shape }));
  }

  unsigned(value: number): string {
    const key = `u32 ${value}`;
    const known = this.constants.get(key);
    if (known) return known;
    const name = `c${this.constants.size}`;
    const rawData = new Uint8Array(Uint32Array.of(value).buffer);
    this.initializers.push(create(TensorProtoSchema, { name, dataType: ONNX_UINT32, rawData }));
    this.constants.set(key, name);
    return name;
  }

  private initializer(constant: ConstantOp): string {
    const { data, type } = constant;
    const { dtype } = type;
    const shape = type.shape as readonly number[]; // checked before
    const key = `${dtype}[${shape}]${
      data.length * bytesPerElement[dtype] <= 64
        ? Array.from(data as Float32Array)
            .map(exactText)
            .join()
        : constant.fingerprint
    }`;
    const known = this.constants.get(key);
    if (known) return known;
    const name = `c${this.constants.size}`;
    const dims = shape.map(BigInt);
    if (this.options.keepsConstantsOutside && data.byteLength >= OUTSIDE_BYTES && dtype !== "bf16") {
      this.outsideConstants.push({ name, dtype, shape, data });
      this.initializers.push(
        create(TensorProtoSchema, { name, dataType: onnxTypeCode[dtype], dims, ...outsideData(data.byteLength) }),
      );
    } else {
      const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength) as Uint8Array<ArrayBuffer>;
      this.initializers.push(create(TensorProtoSchema, { name, dataType: onnxTypeCode[dtype], dims, rawData }));
    }
    this.constants.set(key, name);
    return name;
  }

  scan(...[inputs, { dtype, shape }, body]: Parameters<Lowering["scan"]>): string {
    const slices = inputs.map(() => `t${this.next++}`);
    const graph = this.nested(() => {
      const result = body(slices);
      return {
        name: "slice",
        input: slices.map((name) => elementInfo(name, dtype)),
        output: [valueInfo(result, dtype, shape)],
      };
    });
    const stacked = this.node("Scan", inputs, { num_scan_inputs: inputs.length });
    this.addBody("body", graph);
    return stacked;
  }

  withBodies(
    opType: string,
    inputs: readonly string[],
    outputs: number,
    bodies: Readonly<Record<string, LoweredBody>>,
    attributes?: OnnxAttributes,
  ): string[] {
    const graphs = Object.entries(bodies).map(([name, body]) => [name, this.bodyProto(body)] as const);
    const results = this.nodes(opType, inputs, outputs, attributes);
    for (const [name, graph] of graphs) this.addBody(name, graph);
    return results;
  }

  private bodyProto({ graph, captured, extraInputs = [], condition }: LoweredBody): GraphProto {
    const bodyInputs = graph.inputs.slice(0, graph.inputs.length - captured.length);
    const formal = [...extraInputs.map((dtype) => ({ dtype, shape: [] })), ...bodyInputs];
    // the branches of an If have no inputs: all that they use is captured
    const names = formal.map(() => `t${this.next++}`);
    return this.nested(() => {
      const results = this.inline(graph, [...names.slice(extraInputs.length), ...captured]);
      const outputNames = new Set<string>();
      const outputs = [...(condition ? [condition(results)] : []), ...results].map((name) => {
        // each must be made by a node of this graph, and be another than the others
        const isOwn = this.protos.some(({ output }) => output.includes(name)) && !outputNames.has(name);
        outputNames.add(name);
        return isOwn ? name : this.node("Identity", [name]);
      });
      const types = [...(condition ? [{ dtype: "bool" as const, shape: [] }] : []), ...graph.outputs];
      return {
        name: "body",
        input: formal.map(({ dtype, shape }, i) => valueInfo(names[i], dtype, shape)),
        output: types.map(({ dtype, shape }, i) => valueInfo(outputs[i], dtype, shape)),
      };
    });
  }

  /** Collects what `write` emits into a graph of its own. */
  private nested(write: () => { name: string; input: ValueInfoProto[]; output: ValueInfoProto[] }): GraphProto {
    const [outer, vectors, origin] = [this.protos, new Map(this.shapeVectors), this.origin];
    this.protos = [];
    const graph = create(GraphProtoSchema, { ...write(), node: this.protos });
    this.protos = outer;
    this.shapeVectors = vectors; // those computed inside are not seen outside
    this.origin = origin;
    return graph;
  }

  /** Makes a graph an attribute of the last node. */
  private addBody(name: string, graph: GraphProto): void {
    this.protos[this.protos.length - 1].attribute.push(graphAttribute(name, graph));
  }

  inline(graph: Graph, inputs: readonly string[]): string[] {
    graph.inputs.forEach((input, i) => {
      this.names.set(input, inputs[i]);
    });
    for (const node of graph.nodes) this.writeNode(node);
    return graph.outputs.map((output) => this.nameOf(output));
  }

  sizes(shape: Shape): string {
    if (isStatic(shape)) return this.constant("i64", [shape.length], shape);
    const key = shape.join(",");
    const known = this.shapeVectors.get(key);
    if (known) return known;
    const vector = this.node(
      "Concat",
      shape.map((size) => this.sizeVector(size)),
      { axis: 0 },
    );
    this.shapeVectors.set(key, vector);
    return vector;
  }

  /** An i64 vector of length 1 with the value of one size. */
  private sizeVector(size: Size): string {
    if (typeof size === "number") return this.constant("i64", [1], [size]);
    const key = `1:${size.text}`;
    const known = this.shapeVectors.get(key);
    if (known) return known;
    const terms = [...size.terms].map(([name, coefficient]) => {
      const factors = name
        .split("*")
        .filter(Boolean)
        .map((factor) => this.symbolVector(factor));
      const product =
        factors.length > 0 ? factors.reduce((a, b) => this.node("Mul", [a, b])) : this.constant("i64", [1], [1]);
      return coefficient === 1 ? product : this.node("Mul", [product, this.constant("i64", [1], [coefficient])]);
    });
    const vector = terms.reduce((a, b) => this.node("Add", [a, b]));
    this.shapeVectors.set(key, vector);
    return vector;
  }

  private symbolVector(name: string): string {
    for (const input of this.graph.inputs) {
      const axis = input.shape.findIndex((size) => typeof size !== "number" && size.text === name);
      if (axis >= 0) return this.node("Shape", [this.nameOf(input)], { start: axis, end: axis + 1 });
    }
    throw new GraphError({
      where: "onnx",
      expected: `an input with a size that is just ${name}`,
      received: "none",
      fix: "pass a tensor whose shape has this symbol by itself",
    });
  }
}

const exactText = (x: number | bigint) => (Object.is(x, -0) ? "-0" : String(x));

/** The node as its lowering sees it when bf16 is computed in f32. */
function widened(node: Node): Node {
  const widen = ({ dtype, shape }: Value) => ({ dtype: dtype === "bf16" ? ("f32" as const) : dtype, shape });
  const inputs = node.inputs.map((input) => new Value(input.node, input.index, widen(input)));
  return new Node(node.op, inputs, node.attributes, node.outputs.map(widen), node.scope);
}
