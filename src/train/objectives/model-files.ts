/** How objectives keep a model: in Hugging Face layout, or, of a module of one's own, its weights alone. */
import { join } from "node:path";
import { readSafetensors, type StoredTensor, writeSafetensors } from "../../files/index.ts";
import { loadPretrained, PretrainedModel, savePretrained } from "../../models/index.ts";
import { loadStateDict, type Module, type StateDict } from "../../nn/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";

const WEIGHTS = "model.safetensors";

export async function saveModel(model: Module, folder: string, tokenizer: Tokenizer | undefined): Promise<void> {
  if (model instanceof PretrainedModel) return savePretrained(model, folder, { tokenizer });
  const tensors = new Map<string, StoredTensor>();
  for (const [name, variable] of model.namedState())
    tensors.set(name, { dtype: variable.dtype, shape: variable.shape, data: await variable.read() });
  await writeSafetensors(join(folder, WEIGHTS), tensors);
  await tokenizer?.save(folder);
}

/** Nothing changes unless everything fits. @throws CheckpointError or ShapeError for the weights of another model */
export async function loadModel(model: Module, folder: string): Promise<void> {
  if (model instanceof PretrainedModel) return loadPretrained(model, folder);
  const path = join(folder, WEIGHTS);
  loadStateDict(path, model.namedState(), (await readSafetensors(path)).tensors as StateDict);
}
