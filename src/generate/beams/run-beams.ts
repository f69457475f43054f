import { logSumExp } from "../log-probabilities.ts";
import type { TokenPicker } from "../token-picker.ts";
import { BeamSearch } from "./beam-search.ts";
import { ConstrainedBeamSearch } from "./constrained-beam-search.ts";
import { GroupBeamSearch } from "./group-beam-search.ts";
import type { BeamSettings, BeamText, HypothesisSearch, SearchBounds } from "./hypotheses.ts";

/** What runs hypotheses beside one another: a row for each, all of the same length. */
export interface BeamRunner {
  /** Runs what all texts begin with, and gives the logits after it, f32 [V]. */
  begin(signal?: AbortSignal): Promise<Float32Array>;
  /**
   * Runs one more token of each row, and gives the logits after each. The rows become continuations of others: row i
   * of what row `parents[i]` was before; after `begin` all rows are the same.
   */
  advance(tokens: readonly number[], parents: readonly number[], signal?: AbortSignal): Promise<Float32Array[]>;
}

/** The search that some settings ask for. */
function beamSearchOf(bounds: SearchBounds, settings: BeamSettings): HypothesisSearch {
  if ((settings.numBeamGroups ?? 1) > 1) return new GroupBeamSearch(bounds, settings);
  if ((settings.forceWordsIds ?? []).length > 0) return new ConstrainedBeamSearch(bounds, settings);
  return new BeamSearch(bounds, settings);
}

/**
 * Follows the hypotheses that a picker's settings ask for, `numBeams` rows of the runner, and gives the best texts when
 * no better ones are to be had, as many as `numReturnSequences`, the best first.
 */
export async function searchBeams(
  runner: BeamRunner,
  picker: TokenPicker,
  signal?: AbortSignal,
): Promise<readonly BeamText[]> {
  const settings = picker.beams as BeamSettings;
  const bounds = { start: [...picker.ids], maxLength: picker.maxLength, ends: picker.stops };
  const search = beamSearchOf(bounds, settings);
  signal?.throwIfAborted();
  const first = await runner.begin(signal);
  let rows: readonly Float32Array[] = search.running.map(() => first);
  const scores = new Float32Array(first.length);
  for (;;) {
    const { running } = search;
    search.advance((row, otherTokens) => {
      const normalizer = logSumExp(rows[row]);
      for (let id = 0; id < scores.length; id++) scores[id] = rows[row][id] - normalizer;
      return picker.ruled(scores, running[row].ids, otherTokens);
    }, picker.isLate);
    if (search.isDone) return search.results();
    signal?.throwIfAborted();
    const tokens = search.running.map(({ ids }) => ids[ids.length - 1]);
    const parents = search.running.map(({ parent }) => parent);
    rows = await runner.advance(tokens, parents, signal);
  }
}
