/** Searches that follow several texts at once. */

export { hasBeginnings } from "./constraints.ts";
export {
  type ContrastiveRunner,
  type ContrastiveSettings,
  type RunToken,
  searchContrastive,
} from "./contrastive-search.ts";
export type { BeamSettings, BeamText, ForcedWords } from "./hypotheses.ts";
export { type BeamRunner, searchBeams } from "./run-beams.ts";
