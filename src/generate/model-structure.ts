import { Module } from "../nn/index.ts";
import { type CompiledFunction, type CompileFunctionOptions, compile } from "../tensor/index.ts";

/** The modules and parameters that a model is made of, which `mapModules` and `mapParameters` exchange. */
export class ModelStructure {
  private readonly model: Module;
  private parts: readonly object[];

  constructor(model: Module) {
    this.model = model;
    this.parts = partsOf(model);
  }

  /** Whether any was exchanged since this was asked last, or since the beginning. */
  hasChanged(): boolean {
    const before = this.parts;
    this.parts = partsOf(this.model);
    return this.parts.length !== before.length || this.parts.some((part, i) => part !== before[i]);
  }
}

/**
 * What each field holds, in the order of the fields; what is inside of a module that is held twice stands there once.
 */
function partsOf(model: Module): object[] {
  const parts: object[] = [];
  const seen = new Set<Module>();
  const visit = (module: Module) => {
    if (seen.has(module)) return;
    seen.add(module);
    for (const { member } of module.members()) {
      parts.push(member);
      if (member instanceof Module) visit(member);
    }
  };
  visit(model);
  return parts;
}

/** Grows when any of some weights gets other numbers. */
export function sumOfVersions(weights: readonly { readonly version: number }[]): number {
  let sum = 0;
  for (const { version } of weights) sum += version;
  return sum;
}

/** A compiled function of a model, which is traced anew when parts of the model were exchanged since its last call. */
export class ModelFunction<A extends readonly unknown[], R> {
  private readonly structure: ModelStructure;
  private readonly fn: (...args: A) => R;
  private readonly options: CompileFunctionOptions;
  private compiled: CompiledFunction<A, R>;

  constructor(model: Module, fn: (...args: A) => R, options: CompileFunctionOptions = {}) {
    this.structure = new ModelStructure(model);
    this.fn = fn;
    this.options = options;
    this.compiled = compile(fn as never, options) as CompiledFunction<A, R>;
  }

  /** See `CompiledFunction`. */
  withSignal(signal: AbortSignal | undefined): ReturnType<CompiledFunction<A, R>["withSignal"]> {
    if (this.structure.hasChanged()) {
      this.compiled.dispose();
      this.compiled = compile(this.fn as never, this.options) as CompiledFunction<A, R>;
    }
    return this.compiled.withSignal(signal);
  }

  dispose(): void {
    this.compiled.dispose();
  }
}
