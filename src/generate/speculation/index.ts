/** Tokens that are proposed cheaply, and picked as the model itself would pick. */
export { acceptProposals, acceptToken, type Proposals, requirePlaces, type TokenDistribution } from "./acceptance.ts";
export { type PromptLookupOptions, promptLookup } from "./prompt-lookup.ts";
export type { DraftOptions, DraftWriter, Proposer } from "./proposer.ts";
export { proposerOf, type SpeculationOptions, speculationNames, withoutSpeculation } from "./settings.ts";
