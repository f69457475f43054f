/** Makes the parts of a tokenizer from what its files hold. */
import { openEngine } from "#tokenizers/engine";
import { warnOnConsole } from "../base/index.ts";
import { Template } from "./jinja/template.ts";
import { type PackedJson, packJson } from "./packed-json.ts";
import { checkedTokenizer } from "./safe-file.ts";
import { notFollowed, readSettings, specialOf } from "./settings.ts";
import type { TokenizerFiles, TokenizerParts } from "./tokenizer-files.ts";
import { withSettings } from "./with-settings.ts";

/** @throws DataError for damaged files, RuntimeError for a tokenizer.json that is not understood */
export async function buildTokenizer(files: TokenizerFiles): Promise<TokenizerParts> {
  const { file, json, config = {}, modelConfig } = files;
  const rules = readSettings(file, json, config, modelConfig);
  const whole = withSettings(json, config, rules);
  const checked = checkedTokenizer(file, whole);
  const packed = packJson(whole);
  const runnable: PackedJson = { ...packed, parts: { ...checked, model: packed.parts.model } };
  const engineWith = (added_tokens: unknown) =>
    openEngine(file, { ...runnable, parts: { ...runnable.parts, added_tokens } });
  const engine = await openEngine(file, runnable, checked);
  const notes = notFollowed(config, whole);
  if (notes.length > 0) warnOnConsole({ where: file, notes });
  return {
    files: { ...files, json: packed, config },
    rules,
    special: specialOf(rules.named),
    engine,
    engineWith,
    Template,
  };
}
