/** Layers that compute with several adapters at once. */
import { biasOf, type Parameter, Projection } from "../nn/index.ts";
import { add, type Device, matmul, mul, reshape, type Tensor, Variable, VariableRows } from "../tensor/index.ts";

/**
 * What the adapters of a pool add to a run that is being traced: the one that is shown, of all rows; or for each row
 * that of its slot.
 */
export type TracedAdapters =
  | { readonly kind: "shown" }
  /** mask: f32 [R, N r], 1 where a row meets its adapter, and 0 elsewhere */
  | { readonly kind: "rows"; readonly mask: Tensor<"f32"> };

/** A and B of all adapters of a pool for one layer: adapter n has the rows from n r on. */
export class AdapterStack {
  readonly a: Variable<"f32">; // [N r, D]
  readonly b: Variable<"f32">; // [N r, F], times the factor of each
  private readonly rank: number;
  private readonly shown: { a: VariableRows<"f32">; b: VariableRows<"f32"> }; // [r, D], [r, F]

  constructor(rank: number, { a, b }: StackNumbers) {
    const stack = (name: string, { width, numbers }: StackNumbers["a"]) =>
      new Variable({ name, dtype: "f32", shape: [numbers.length / width, width] }, numbers);
    this.rank = rank;
    this.a = stack("lora.a", a);
    this.b = stack("lora.b", b);
    const rows = (of: Variable<"f32">) => new VariableRows(of, { count: rank, symbolicSizes: [null] });
    this.shown = { a: rows(this.a), b: rows(this.b) };
  }

  set({ a, b }: StackNumbers): void {
    this.a.set(a.numbers);
    this.b.set(b.numbers);
  }

  show(slot: number, device: Device): void {
    for (const rows of [this.shown.a, this.shown.b]) rows.show(slot * this.rank, this.rank, device);
  }

  /** What adapters add to the output: [..., D] -> [..., F] */
  update(x: Tensor<"f32">, traced: TracedAdapters): Tensor<"f32"> {
    if (traced.kind === "shown") return matmul(matmul(x, this.shown.a, { transposeB: true }), this.shown.b);
    // one product with all of them, of which each row keeps its own: they are read once, for however many rows
    const { mask } = traced;
    const inner = matmul(x, this.a, { transposeB: true }); // [R, ..., N r]
    const [rows, width] = mask.shape;
    const byRow = x.rank === 2 ? mask : reshape(mask, [rows, ...new Array(x.rank - 2).fill(1), width]);
    return matmul(mul(inner, byRow), this.b);
  }

  dispose(): void {
    for (const variable of [this.shown.a, this.shown.b, this.a, this.b]) variable.dispose();
  }
}

/** Numbers of a stack. */
export interface StackNumbers {
  a: { width: number; numbers: Float32Array };
  b: { width: number; numbers: Float32Array };
}

/** What the layers of a pool look at while they are traced. */
export interface AdapterScope {
  readonly traced: TracedAdapters | undefined;
}

/** A layer of a model beside which a pool may have adapters; without them, and outside of the pool's runs, itself. */
export class PooledProjection extends Projection {
  readonly base: Projection;
  /** Where some adapter of the pool changes this layer. */
  readonly adapters: { stack: AdapterStack | undefined } = { stack: undefined };
  private readonly scope: AdapterScope;
  protected override readonly checkpointKeys = { base: "" };

  constructor(base: Projection, scope: AdapterScope) {
    super();
    this.base = base;
    this.scope = scope;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  get bias(): Parameter | undefined {
    return biasOf(this.base);
  }

  matrix(): Tensor<"f32"> {
    return this.base.matrix();
  }

  /** x: [R, ..., D] -> [R, ..., F] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const { traced } = this.scope;
    const { stack } = this.adapters;
    const output = this.base.forward(x);
    return traced && stack ? add(output, stack.update(x, traced)) : output;
  }

  override forwardParts(x: Tensor<"f32">, parts: number): Tensor<"f32">[] {
    const isPlain = !this.scope.traced || !this.adapters.stack;
    return isPlain ? this.base.forwardParts(x, parts) : super.forwardParts(x, parts);
  }
}
