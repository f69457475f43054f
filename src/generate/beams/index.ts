/** Searches that follow several texts at once. */

export {
  type ContrastiveRunner,
  type RunToken,
  searchContrastive,
} from "./contrastive-search.ts";
export type { BeamSettings, BeamText, ContrastiveSettings, ForcedWords } from "./hypotheses.ts";
export { type BeamRunner, searchBeams } from "./run-beams.ts";
