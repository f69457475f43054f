import type { Graph } from "../ir/index.ts";

/** A pass takes a graph and returns an equivalent, cheaper one. */
export interface Pass {
  /** For messages. */
  readonly name: string;
  /**
   * Gives a graph with the same inputs, and with outputs of the same types whose numbers differ by rounding at most.
   */
  run(graph: Graph): Graph;
}
