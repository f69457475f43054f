/** What a classifier answers on the validation data in the end: a confusion matrix, and its worst mistakes. */
import { IGNORED_LABEL } from "../../base/index.ts";
import type { Source } from "../../data/index.ts";
import { confusionMatrix } from "../../metrics/index.ts";
import { type RawImage, resizeImage, toRgb } from "../../processors/index.ts";
import { argmax, type CompiledFunction, cast, compile, max, softmax, type Tensor } from "../../tensor/index.ts";
import { type ClassAnswers, type Mistake, pngUrl } from "../../track/index.ts";
import type { BatchArgument } from "../../train/index.ts";

/** A classifier, and what it is asked about. */
export interface AskedClassifier<B> {
  /** The classes in the order of their numbers. */
  names: readonly string[];
  /** Of a batch of the validation data: logits f32 [B, ..., N]; labels i32 [B, ...], -100 for what does not count. */
  outputs(batch: B): { logits: Tensor<"f32">; labels: Tensor<"i32"> };
  /**
   * The example of a number, in the order of the validation data.
   * @param position of the label in the example, where it has several
   */
  exampleAt(index: number, position: number): Promise<Pick<Mistake, "place" | "text" | "picture">>;
}

/** Mistakes that are told. */
const MOST_MISTAKES = 20;
const LONGEST_TEXT = 500;

interface PlacedMistake {
  index: number;
  position: number;
  label: number;
  answer: number;
  probability: number;
}

/**
 * Answers of a model as it is now: those to which it gives the highest probability, the first of equal ones.
 * @param batches the first ones of the source
 * @returns undefined where nothing has a label
 */
export async function classAnswers<B>(
  { names, outputs, exampleAt }: AskedClassifier<B>,
  source: Source<B>,
  { batches, signal }: { batches: number; signal: AbortSignal | undefined },
): Promise<ClassAnswers | undefined> {
  const ask = compile(((batch: B) => answersOf(outputs(batch))) as never) as CompiledFunction<[batch: B], Answers>;
  const seen = { labels: [] as number[], answers: [] as number[] };
  let worst: PlacedMistake[] = [];
  try {
    let first = 0;
    for (let i = 0; i < batches; i++) {
      const batch = (await source.batch(i)) as BatchArgument<B>;
      const { labels, answers, probabilities } = await ask.withSignal(signal)(batch);
      const [rows] = labels.shape as number[];
      const read = { answers: await answers.read(), probabilities: await probabilities.read() };
      const all = await labels.read();
      for (let at = 0; at < all.length; at++) {
        const [label, answer] = [Number(all[at]), Number(read.answers[at])];
        if (label === IGNORED_LABEL) continue;
        seen.labels.push(label);
        seen.answers.push(answer);
        if (answer === label) continue;
        const width = all.length / rows;
        const place = { index: first + Math.floor(at / width), position: at % width };
        worst.push({ ...place, label, answer, probability: Number(read.probabilities[at]) });
      }
      worst = worst.sort((a, b) => b.probability - a.probability).slice(0, MOST_MISTAKES);
      first += rows;
    }
  } finally {
    ask.dispose();
  }
  if (seen.labels.length === 0) return undefined;
  const { counts } = confusionMatrix(seen.answers, seen.labels, { classes: names.map((_, id) => id) });
  return {
    confusion: { labels: names, counts: counts.map((row) => [...row]) },
    mistakes: await Promise.all(worst.map((mistake) => describe(mistake, { names, exampleAt }))),
  };
}

type Answers = { answers: Tensor<"i32">; probabilities: Tensor<"f32">; labels: Tensor<"i32"> };

const answersOf = ({ logits, labels }: { logits: Tensor<"f32">; labels: Tensor<"i32"> }): Answers => ({
  answers: cast(argmax(logits, { axis: -1 }), "i32"),
  probabilities: max(softmax(logits, -1), { axes: -1 }),
  labels,
});

async function describe(
  { index, position, label, answer, probability }: PlacedMistake,
  { names, exampleAt }: Pick<AskedClassifier<never>, "names" | "exampleAt">,
): Promise<Mistake> {
  const { text, ...example } = await exampleAt(index, position);
  const shown = text !== undefined && text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)} ...` : text;
  return {
    ...example,
    ...(shown !== undefined && { text: shown }),
    label: names[label],
    answer: names[answer],
    probability,
  };
}

/** Pixels of the longer side of a small picture. */
const SMALL_SIDE = 96;

/** A picture, small where it is large, as a URL. */
export function smallPicture(image: RawImage): string {
  const { width, height } = image;
  const scale = Math.min(1, SMALL_SIDE / Math.max(width, height));
  const sizeOf = (side: number) => Math.max(1, Math.round(scale * side));
  const small = resizeImage(toRgb(image, true), { width: sizeOf(width), height: sizeOf(height) }, "bilinear");
  return pngUrl({ width: small.width, height: small.height, rgb: Uint8Array.from(small.data) });
}
