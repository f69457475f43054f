/** Adapters of models that write: vLLM's API to load and unload them while the server runs, where it is let. */
import { realpath } from "node:fs/promises";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { KindlingError } from "../base/index.ts";
import { inWordsOf, RequestError } from "./errors.ts";
import { type App, jsonBody, useOutside } from "./exchange.ts";
import { type Fields, readFields, text } from "./fields.ts";
import type { ServedModels } from "./models/index.ts";

const loadFields = {
  lora_name: text,
  lora_path: text,
  base_model_name: text, // where several models write
  load_inplace: [false],
} as const satisfies Fields;
const unloadFields = { lora_name: text, lora_int_id: "harmless" } as const satisfies Fields;

/**
 * POST /v1/load_lora_adapter and /v1/unload_lora_adapter.
 * @param folder below which adapters may be loaded: whoever can ask the server can have it read what is there
 */
export function adapterRoutes(app: App, models: ServedModels, folder: string): void {
  app.post("/v1/load_lora_adapter", async (c) => {
    const request = readFields(await jsonBody(c), loadFields);
    const name = required("lora_name", request.lora_name);
    const path = await pathBelow(folder, required("lora_path", request.lora_path));
    const base = await inWordsOf(baseName(models, request.base_model_name), (text) =>
      text.replace(/^model\b/, "base_model_name"),
    );
    c.get("record").asked(base);
    for (const { id, adapters } of models.list()) {
      if (id === name) throw refused(`'${name}' is the name of a model`, "lora_name");
      if (id !== base && adapters.includes(name)) throw refused(`'${name}' is an adapter of '${id}'`, "lora_name");
    }
    await useOutside(c, models, "text-generation", base, ({ model }) =>
      asRequest("lora_path", path, () => model.generator.adapters.load(name, path)),
    );
    return c.text(`Success: LoRA adapter '${name}' added successfully.`);
  });
  app.post("/v1/unload_lora_adapter", async (c) => {
    const request = readFields(await jsonBody(c), unloadFields);
    const name = required("lora_name", request.lora_name);
    c.get("record").asked(models.nameFor("text-generation", name));
    await useOutside(c, models, "text-generation", name, async ({ model: { generator } }) => {
      if (!generator.adapters.has(name)) throw refused(`'${name}' is a model, and no adapter`, "lora_name");
      await generator.adapters.unload(name);
    });
    return c.text(`Success: LoRA adapter '${name}' removed successfully.`);
  });
}

/** The model that is named, or the only one that writes. @throws RequestError as `ServedModels.nameFor` */
const baseName = async (models: ServedModels, asked: string | undefined): Promise<string> =>
  models.nameFor("text-generation", asked);

/** A folder below another, links followed. @throws RequestError for what is not there, or elsewhere */
async function pathBelow(folder: string, asked: string): Promise<string> {
  const root = await realpath(folder);
  const path = await realpath(resolve(root, asked)).catch(() => undefined);
  const inside = path === undefined ? ".." : relative(root, path);
  if (path === undefined || inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside))
    throw refused("expected a folder below the one that adapters may be loaded from; received none", "lora_path");
  return path;
}

function required(param: string, value: string | undefined): string {
  if (value) return value;
  throw refused("expected a text; received nothing", param);
}

const refused = (message: string, param: string): RequestError =>
  new RequestError({ status: 400, message: `${param}: ${message}`, param, code: "invalid_value" });

/** What is wrong with an adapter is an error of the request, which does not tell where the folder is. */
async function asRequest(param: string, folder: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof KindlingError && !(cause instanceof RequestError))
      throw refused(cause.message.replaceAll(folder, "the adapter"), param);
    throw cause;
  }
}
