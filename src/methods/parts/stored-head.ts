/** The head that a checkpoint has. */
import { isObject } from "../../base/index.ts";
import { isFile, readJson } from "../../files/index.ts";
import { openPlace } from "../../hub/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import { modelName } from "./models.ts";

/** config.json of a checkpoint whose architecture ends with a name; undefined for another, and for new models. */
async function configWithHead(
  config: Pick<SharedConfig, "model">,
  architecture: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const name = modelName(config);
  if (name === undefined) return undefined;
  const place = await openPlace(name);
  if (isFile(place) || !(await place.has("config.json"))) return undefined;
  const json = await readJson(place.file("config.json"));
  const { architectures } = json;
  return Array.isArray(architectures) && String(architectures[0]).endsWith(architecture) ? json : undefined;
}

/** Whether a config's model is a checkpoint with a head, told by the end of its architecture's name. */
export const hasHead = async (config: Pick<SharedConfig, "model">, architecture: string): Promise<boolean> =>
  (await configWithHead(config, architecture)) !== undefined;

/** The class names of a checkpoint with such a head, in the order of their numbers; undefined where there is none. */
export async function storedLabels(
  config: Pick<SharedConfig, "model">,
  architecture: string,
): Promise<readonly string[] | undefined> {
  const json = await configWithHead(config, architecture);
  if (json === undefined) return undefined;
  const { id2label, num_labels: count = 2 } = json;
  if (!isObject(id2label)) return Array.from({ length: Number(count) }, (_, i) => `LABEL_${i}`);
  const entries = Object.entries(id2label).sort(([a], [b]) => Number(a) - Number(b));
  return entries.map(([, label]) => String(label));
}
