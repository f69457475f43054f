/** Rows of a batch of texts as they are learned, for people. */
import { IGNORED_LABEL } from "../../base/index.ts";
import { unpackWindow } from "../../data/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";

/** Tensors of a batch that are shown. */
export interface ShownBatch {
  inputIds: Tensor<"i32">;
  attentionMask?: Tensor<"bool">;
  segmentIds?: Tensor<"i32">;
  shiftLabels?: Tensor<"i32">;
  labels?: Tensor<"i32">;
}

/**
 * The first rows of a batch: texts that share a row apart; with `isInPlace` «what is there → what was» where a token is
 * asked for; otherwise behind an arrow what labels say.
 */
export async function previewTexts(
  batch: ShownBatch,
  tokenizer: Tokenizer,
  { count, isInPlace }: { count: number; isInPlace: boolean },
): Promise<string> {
  const rowsOf = async (values: Tensor<"i32"> | Tensor<"bool"> | undefined) => {
    if (!values) return undefined;
    const [data, width] = [await values.read(), Number(values.shape[1])];
    return (row: number) => Int32Array.from(data.slice(row * width, (row + 1) * width), Number);
  };
  const { inputIds, attentionMask, segmentIds, shiftLabels, labels } = batch;
  const [ids, mask, segments, next, asked] = await Promise.all(
    [inputIds, attentionMask, segmentIds, shiftLabels, labels].map(rowsOf),
  );
  const decode = (tokens: ArrayLike<number>) => tokenizer.decode(Array.from(tokens), { skipSpecialTokens: false });
  const texts: string[] = [];
  for (let row = 0; row < Math.min(count, Number(inputIds.shape[0])); row++) {
    const all = ids?.(row) as Int32Array;
    const isPresent = mask?.(row);
    const inputs = isPresent ? all.filter((_, i) => isPresent[i] === 1) : all;
    if (segments && next) {
      const pieces = unpackWindow({ inputIds: all, segmentIds: segments(row), shiftLabels: next(row) });
      const parts = await Promise.all(pieces.map((piece) => decode(piece.ids)));
      texts.push(parts.map((text, i) => `--- row ${row + 1}, text ${i + 1} ---\n${text}`).join("\n"));
      continue;
    }
    const targets = asked?.(row);
    const shown = targets && isInPlace ? await withAnswers(inputs, targets, decode) : await decode(inputs);
    const written = targets && !isInPlace ? `\n→ ${await decode(targets.filter((id) => id !== IGNORED_LABEL))}` : "";
    texts.push(`--- row ${row + 1} ---\n${shown}${written}`);
  }
  return texts.join("\n");
}

async function withAnswers(
  inputs: Int32Array,
  targets: Int32Array,
  decode: (tokens: ArrayLike<number>) => Promise<string>,
): Promise<string> {
  let text = "";
  for (let start = 0, end = 0; start < inputs.length; start = end) {
    const isAsked = targets[start] !== IGNORED_LABEL;
    while (end < inputs.length && (targets[end] !== IGNORED_LABEL) === isAsked) end++;
    const piece = await decode(inputs.subarray(start, end));
    text += isAsked ? `«${piece} → ${await decode(targets.subarray(start, end))}»` : `${text ? " " : ""}${piece} `;
  }
  return text.trim();
}
