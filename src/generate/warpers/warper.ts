import type { Candidates } from "./candidates.ts";

/**
 * Narrows down which tokens may be drawn, or changes their scores, in place; at least one has to stay.
 * @param uniform draws a number from 0 to below 1 by the seed of the text
 */
export type LogitsWarper = (candidates: Candidates, uniform: () => number) => void;
