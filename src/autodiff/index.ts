/** Reverse-mode differentiation of graphs. The gradients are graphs too. Imports ir/ and ops/. */
export { gradients } from "./reverse.ts";
