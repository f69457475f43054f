/** Preferences as they are learned, for people. */
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { PreferenceExample } from "./preference-examples.ts";
import { previewOf } from "./preview.ts";

/** Texts of examples, with their completions between «»: of pairs both, of rated completions what they are. */
export async function previewPreferences(
  examples: readonly PreferenceExample[],
  tokenizer: Tokenizer,
): Promise<string> {
  const shown = examples.map(async ({ texts, isDesirable, margin }, i) => {
    const [first, second] = await Promise.all(texts.map((text) => previewOf(text, tokenizer)));
    const title = (kind: string) => `--- example ${i + 1}, ${kind} ---\n`;
    if (isDesirable !== undefined) return `${title(isDesirable ? "wanted" : "not wanted")}${first}`;
    const chosen = margin === undefined ? "chosen" : `chosen by ${margin}`;
    return `${title(chosen)}${first}\n${title("rejected")}${second}`;
  });
  return (await Promise.all(shown)).join("\n");
}
