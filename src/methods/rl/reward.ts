/** What a reward is. */
import type { Row } from "../../data/index.ts";

/**
 * What a completion is worth, a finite number: of a prompt as its row has it (a conversation as its chat template
 * writes it), of what the model wrote, without special tokens, and of the row with all its columns.
 */
export type Reward = (prompt: string, completion: string, row: Row) => number | Promise<number>;

/** A completion that is to be rewarded, and where its row stands. */
export interface RewardedText {
  prompt: string;
  completion: string;
  row: Row;
  place: string;
}

/** A reward as a config has it, ready to be asked. */
export interface WeightedReward {
  name: string;
  weight: number;
  /** Of several completions together, in their order. */
  of(texts: readonly RewardedText[]): Promise<number[]>;
}
