import type { AppliedAdapter } from "../peft/index.ts";
import type { Objective } from "../train/index.ts";

/**
 * Trains an adapter alone, by the loss of any objective of its model: the model's weights stay as they are, get no
 * gradients and are not saved. Dropout of the adapter is on where that of the model is. `save` writes the adapter's
 * folder, which peft loads, and `load` reads one.
 * @param applied of the model that the objective trains; it need not be active
 * @param objective its loss, and how batches are counted
 *
 * @example
 * const model = new GPT2LMHeadModel({ vocabSize: 9, hiddenSize: 4, numLayers: 1, numHeads: 2 }, randomKey(0));
 * const adapter = await newAdapter(model, { rank: 2, targetModules: ["c_attn"], dropout: 0.1 }, randomKey(1));
 * adapterTraining(applyAdapter(model, adapter), languageModel(model)).trained.size; // 2
 */
export function adapterTraining<B>(applied: AppliedAdapter, objective: Objective<B>): Objective<B> {
  const trained = applied.parameters;
  return {
    ...objective,
    trained,
    state: new Map([...objective.state, ...trained]),
    loss: (batch, run) => applied.within(run, () => objective.loss(batch, run)),
    save: (folder) => applied.save(folder),
    saveResult: undefined, // that of the whole model
    load: (folder) => applied.load(folder),
  };
}
