import type { Graph, Node } from "../ir/index.ts";
import {
  estimateMemory,
  mayOverwrite,
  type OnnxModel,
  optimize,
  type Pass,
  type Program,
  splitStages,
  type WriteOptions,
} from "../lower/index.ts";
import { ortTypes, type Stage } from "./protocol.ts";

/** Writes a graph for the device that was picked. */
export type ModelWriter = (graph: Graph, changes?: Pick<WriteOptions, "keepsConstantsOutside">) => OnnxModel;

/** State of a compiled graph: an output becomes what an input is in the next run. */
export interface Update {
  /** Index of the output that becomes the new state. */
  output: number;
  /** Index of the input that holds the state. */
  input: number;
}

/** A graph, made ready for a device. */
export interface Prepared {
  /** Outputs that are written over inputs, as [output, input]. */
  inPlace: readonly (readonly [number, number])[];
  /** Bytes needed besides inputs. */
  peakBytes: number;
  /** Slot of each output. */
  results: readonly number[];
  /** Nodes that are computed by the sender, by the number of their stage. */
  hostNodes: ReadonlyMap<number, Node>;
  /** The parts, written for a device. */
  stages(write: ModelWriter): Stage[];
}

export interface PrepareOptions {
  updates: readonly Update[];
  keepPreviousState: boolean;
  hostOutputs: readonly number[];
  /** @default all of them */
  passes?: readonly Pass[];
}

/** Runs the passes. The models are written when `stages` is called. */
export function prepare(graph: Graph, { updates, keepPreviousState, hostOutputs, passes }: PrepareOptions): Prepared {
  const optimized = optimize(graph, passes);
  const program = splitStages(optimized);
  return {
    inPlace: updates
      .filter(({ output, input }) => !keepPreviousState && mayOverwrite(optimized, output, input))
      .map(({ output, input }) => [output, input]),
    peakBytes: estimateMemory(optimized).peakBytes,
    results: program.results,
    hostNodes: new Map(program.stages.flatMap((stage, i) => ("node" in stage ? [[i, stage.node] as const] : []))),
    stages: (write) => program.stages.map((stage) => writeStage(stage, program, hostOutputs, write)),
  };
}

function writeStage(
  stage: Program["stages"][number],
  { stages, results }: Program,
  hostOutputs: readonly number[],
  write: ModelWriter,
): Stage {
  const { inputs, outputs } = stage;
  if ("node" in stage) return { host: true, inputs, outputs };
  const { bytes, outputNames, cpuNodes, outsideConstants, idleOptimizers } = write(stage.graph);
  const constants = outsideConstants.map(({ name, dtype, shape, data }) => ({
    name,
    type: ortTypes[dtype],
    shape,
    data,
  }));
  const onHost = new Set([
    ...hostOutputs.map((i) => results[i]),
    ...stages.flatMap((other) => ("node" in other ? other.inputs : [])),
  ]);
  return {
    model: bytes,
    remoteOutputs: outputNames.filter((_, i) => !onHost.has(outputs[i])),
    cpuNodes,
    idleOptimizers,
    inputs,
    outputs,
    constants,
  };
}
