/** A trained model as a reward. */
import { DataError } from "../../base/index.ts";
import { type LabelScore, pipeline } from "../../pipelines/index.ts";
import type { WeightedReward } from "./reward.ts";

/**
 * A sequence classifier with one label, which reads a prompt with its completion: its logit is the reward.
 * @throws DataError for a model with other labels, or that cannot be read
 */
export async function openRewardModel(folder: string): Promise<WeightedReward["of"]> {
  const judge = await pipeline("text-classification", folder);
  return async (texts) => {
    const read = texts.map(({ prompt, completion }) => prompt + completion);
    const answers = await judge.run(read, { functionToApply: "none", topK: null }); // with topK a list for each text
    return (answers as LabelScore[][]).map((scores) => {
      if (scores.length === 1) return scores[0].score;
      throw new DataError({
        where: `reward model ${folder}`,
        expected: "a classifier with one label",
        received: `one with ${scores.length}`,
        fix: "train one by the reward method, or write a reward that says what each label is worth",
      });
    });
  };
}
