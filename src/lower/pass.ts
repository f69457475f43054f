import type { Graph } from "../ir/index.ts";

/** A pass takes a graph and returns an equivalent, cheaper one. */
export interface Pass {
  readonly name: string;
  run(graph: Graph): Graph;
}
