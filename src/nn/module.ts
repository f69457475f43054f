import { type DType, type HalfArray, KindlingError, ShapeError } from "../base/index.ts";
import { type Initial, type Storage, Variable } from "../tensor/index.ts";
import { parameterCount } from "./parameter-count.ts";

/** The dtype of a parameter in computations, and in memory. */
export interface ParameterOptions<D extends DType = "f32"> {
  /** Dtype of its value. @default "f32" */
  dtype?: D;
  /**
   * The dtype in which the numbers are kept; see VariableOptions. Gradients are in f32 all the same, and so are an
   * optimizer's moments; each update is rounded. @default that of the value
   */
  stored?: Storage<D>;
}

/** A variable that training changes. */
export class Parameter<D extends DType = "f32"> extends Variable<D> {
  constructor(shape: readonly number[], initial: Initial<D>, { dtype, stored }: ParameterOptions<D> = {}) {
    super({ dtype: dtype ?? ("f32" as D), stored, shape }, initial);
  }
}

/**
 * Checkpoint key of a field: an underscore before each capital and before each run of digits, lower case.
 * gateProj -> gate_proj, ln1 -> ln_1, lmHead -> lm_head.
 */
export function checkpointKey(field: string): string {
  return field.replace(/([A-Z]|\d+)/g, (part, _, offset: number) =>
    offset > 0 ? `_${part.toLowerCase()}` : part.toLowerCase(),
  );
}

/**
 * A variable that belongs to a checkpoint and that gradients do not change, such as BatchNorm's running mean: a
 * "buffer" of PyTorch.
 */
export class ModelBuffer<D extends DType = "f32"> extends Variable<D> {
  constructor(shape: readonly number[], initial: Initial<D>, dtype: D = "f32" as D) {
    super({ dtype, shape }, initial);
  }
}

/** What a module holds. */
export interface Member {
  /** Its names in checkpoints, joined by dots. */
  path: string;
  member: Parameter | ModelBuffer | Module;
  /** Puts another in its place. */
  exchange(next: Member["member"]): void;
}

/** What the paths of a module's members begin with. */
export const prefixOf = (path: string): string => (path === "" ? "" : `${path}.`);

function* membersOf(
  holder: object,
  prefix: string,
  keys?: Readonly<Record<string, string>>,
): Generator<Member, void, void> {
  for (const [field, member] of Object.entries(holder)) {
    const name = keys?.[field] ?? (Array.isArray(holder) ? field : checkpointKey(field));
    const path = name === "" ? prefix.replace(/\.$/, "") : `${prefix}${name}`;
    if (member instanceof Parameter || member instanceof ModelBuffer || member instanceof Module) {
      const exchange = (next: Member["member"]) => Object.assign(holder, { [field]: next });
      yield { path, member, exchange };
    } else if (Array.isArray(member) && member.some((item) => item instanceof Module)) {
      yield* membersOf(member, prefixOf(path));
    }
  }
}

/**
 * A part of a model: parameters and other modules in fields, and a `forward` of the subclass. Modules hold no state
 * besides parameters and buffers; caches and random keys are arguments of `forward`.
 */
export abstract class Module {
  /**
   * Fields whose checkpoint keys do not follow `checkpointKey`: their path of names, or "" for no level of their own.
   */
  protected readonly checkpointKeys?: Readonly<Record<string, string>>;

  /** Fields of projections that have the same input, for those who compute them together. */
  readonly sharedInputs?: readonly (readonly string[])[];

  /** Parameters, buffers and modules in the fields, and in arrays there, with their paths of checkpoint names. */
  *members(prefix = ""): Generator<Member, void, void> {
    yield* membersOf(this, prefix, this.checkpointKeys);
  }

  /**
   * Parameters and buffers with their checkpoint keys, in the order of the fields. What is held twice is listed once.
   */
  namedState(prefix = ""): Map<string, Parameter | ModelBuffer> {
    const state = new Map<string, Parameter | ModelBuffer>();
    const seen = new Set<Parameter | ModelBuffer>();
    const visit = (module: Module, prefix: string) => {
      for (const { path, member } of module.members(prefix)) {
        if (member instanceof Module) visit(member, prefixOf(path));
        else if (!seen.has(member)) {
          seen.add(member);
          state.set(path, member);
        }
      }
    };
    visit(this, prefix);
    return state;
  }

  /** Parameters and buffers, in the order of the fields. What is held twice is listed once. */
  state(): (Parameter | ModelBuffer)[] {
    return [...this.namedState().values()];
  }

  /** Parameters with their checkpoint keys, in the order of the fields. A parameter held twice is listed once. */
  namedParameters(prefix = ""): Map<string, Parameter> {
    return new Map(
      [...this.namedState(prefix)].filter((entry): entry is [string, Parameter] => entry[1] instanceof Parameter),
    );
  }

  /** Parameters, in the order of the fields, without buffers. A parameter held twice is listed once. */
  parameters(): Parameter[] {
    return [...this.namedParameters().values()];
  }

  /** Number of trainable numbers. */
  parameterCount(): number {
    return parameterCount(this.parameters());
  }

  /** Frees the memory of all parameters and buffers. */
  dispose(): void {
    for (const variable of this.namedState().values()) variable.dispose();
  }
}

/** Numbers for a parameter, by checkpoint key. */
export type StateDict = ReadonlyMap<string, StateTensor>;
/** One tensor of a checkpoint. */
export interface StateTensor {
  /** Dtype in which the model computes with it: "f32", whatever the file has. */
  dtype: DType;
  shape: readonly number[];
  /** Its numbers, row-major; those of 16-bit files as they are there. */
  data: Float32Array | HalfArray;
}

/** A checkpoint does not fit the model. */
export class CheckpointError extends KindlingError {}

/**
 * Sets parameters and buffers from a checkpoint. Strict: every one must be there with its shape, and nothing else.
 * Nothing is changed unless everything fits.
 * @throws CheckpointError listing missing and extra tensors, or ShapeError for a misshapen one.
 */
export function loadStateDict(
  where: string,
  parameters: ReadonlyMap<string, Parameter | ModelBuffer>,
  state: StateDict,
): void {
  const missing = [...parameters.keys()].filter((key) => !state.has(key));
  const extra = [...state.keys()].filter((key) => !parameters.has(key));
  if (missing.length > 0 || extra.length > 0) {
    const list = (keys: string[]) =>
      keys.length > 4 ? `${keys.slice(0, 4).join(", ")} and ${keys.length - 4} more` : keys.join(", ");
    throw new CheckpointError({
      where,
      expected: `exactly the ${parameters.size} tensors of the model`,
      received: [
        missing.length > 0 ? `without ${list(missing)}` : "",
        extra.length > 0 ? `with extra ${list(extra)}` : "",
      ]
        .filter(Boolean)
        .join("; "),
      fix: "check that config.json belongs to these weights",
    });
  }
  for (const [key, parameter] of parameters) {
    const { shape } = state.get(key) as { shape: readonly number[] };
    if (shape.length !== parameter.shape.length || shape.some((size, i) => size !== parameter.shape[i])) {
      throw new ShapeError({
        where: `${where}, tensor ${key}`,
        expected: `shape [${parameter.shape.join(", ")}]`,
        received: `[${shape.join(", ")}]`,
        fix: "check that config.json belongs to these weights",
      });
    }
  }
  for (const [key, parameter] of parameters) parameter.set((state.get(key) as StateTensor).data);
}
