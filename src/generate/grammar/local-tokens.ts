/** What tokens do from a place of one rule, whatever called the rule. */
export interface LocalTokens {
  /** Tokens that stay in the rule, or end with it: as bits, or where they are few as a list. */
  readonly bits?: Uint32Array;
  readonly ids?: readonly number[];
  /** Nodes of the tree of tokens at which the rule may be over, with further bytes below. */
  readonly leaves: readonly number[];
  /** Behind any of them the rule can be brought to its end with so many bytes. */
  readonly mostBytes: number;
}
