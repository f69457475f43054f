/** What models share that read images in a text and go on with the text. */
import { DataError } from "../../base/index.ts";
import {
  cast,
  cumsum,
  equal,
  gather,
  maximum,
  reshape,
  sub,
  type Tensor,
  unsqueeze,
  where,
} from "../../tensor/index.ts";
import type { CausalLM } from "../decoders/causal-lm.ts";
import { type NextTokenLabels, nextTokenLoss } from "../losses.ts";
import { type RunOptions, TaskModel, type Trainable } from "../model.ts";

/** A batch of texts, and the images and videos in them, as a model's processor makes them. */
export interface ImageTextInputs {
  /** i32 [B, T]; each image has as many places as the model makes of it, which hold the image token */
  inputIds: Tensor<"i32">;
  /** bool [B, T], false for padding. @default all true */
  attentionMask?: Tensor<"bool">;
  /** Images of all rows in the order of their places, as the model's processor makes them. @default none */
  pixelValues?: Tensor<"f32">;
  /** Qwen2-VL: patches of each image in time, height and width. i32 [images, 3] */
  imageGridThw?: Tensor<"i32">;
  /** Qwen2-VL: videos of all rows in the order of their places, as the model's processor makes them. @default none */
  pixelValuesVideos?: Tensor<"f32">;
  /** Qwen2-VL: patches of each video in time, height and width. i32 [videos, 3] */
  videoGridThw?: Tensor<"i32">;
}

/** What a model that reads images in a text says of each next token. */
export interface ImageTextOutput {
  /** [B, T, V] */
  logits: Tensor<"f32">;
}

/** What the text model gets in place of tokens alone. */
export interface EmbeddedText {
  /** [B, T, D] */
  embeddings: Tensor<"f32">;
  /** Positions in time, height and width, i32 [3, B, T]. @default 0, 1, ... */
  positions?: Tensor<"i32">;
  /** What is added to the positions of tokens that follow, i32 [B, 1]. @default 0 */
  offset?: Tensor<"i32">;
}

/** Images or videos of texts, in the order of their places. */
export interface Visuals {
  kind: "image" | "video";
  /** As the model's processor makes them. */
  pixelValues: Tensor<"f32">;
  /** Qwen2-VL: patches of each in time, height and width. i32 [N, 3] */
  grids?: Tensor<"i32">;
}

/** What a model has made of `Visuals`. */
export interface VisualFeatures extends Omit<Visuals, "pixelValues"> {
  /** [places, D] */
  features: Tensor<"f32">;
}

/** Images and the token whose places they take. */
export interface Places {
  token: number;
  /** Places that the images need. */
  count: number;
}

/**
 * A model that reads images in a text: what it makes of them stands in the place of tokens of its text model.
 * i32 [B, T] and images -> logits [B, T, V]; transformers' image-text-to-text classes.
 */
export abstract class ImageTextModel<Output extends ImageTextOutput = ImageTextOutput>
  extends TaskModel<ImageTextInputs, Output>
  implements Trainable<ImageTextInputs & NextTokenLabels>
{
  static readonly task = "image-text-to-text";
  readonly task = ImageTextModel.task;
  abstract readonly languageModel: CausalLM;
  /** The token that stands where an image is. */
  abstract readonly imageTokenId: number;

  /** What stands in the places of images: rows for LLaVA's [images, places, D], for Qwen2-VL's [places of all, D]. */
  abstract imageFeatures(
    inputs: Pick<ImageTextInputs, "imageGridThw"> & { pixelValues: Tensor<"f32"> } & RunOptions,
  ): Tensor<"f32">;
  /** The images and videos of a text. @throws DataError for those that lack something */
  abstract visualsOf(inputs: ImageTextInputs): Visuals[];
  /** The text with what stands in the places of its images: inputIds i32 [B, T] -> embeddings [B, T, D] */
  abstract embedFeatures(
    inputs: Pick<ImageTextInputs, "inputIds" | "attentionMask">,
    visuals: readonly VisualFeatures[],
  ): EmbeddedText;
  /** The places that images of these shapes need. */
  abstract placesOf(inputs: ImageTextInputs): Places[];

  /** What stands in the places of images or videos. -> [places, D] */
  featuresOf({ pixelValues, grids }: Omit<Visuals, "kind">, { key }: RunOptions = {}): Tensor<"f32"> {
    const features = this.imageFeatures({ pixelValues, imageGridThw: grids, key });
    return features.rank === 2 ? features : reshape(features, [-1, features.size(-1)]);
  }

  /** The text with its images, ready for the text model: inputIds i32 [B, T] -> embeddings [B, T, D] */
  embed({ key, ...inputs }: ImageTextInputs & RunOptions): EmbeddedText {
    const visuals = this.visualsOf(inputs).map(({ kind, ...visual }) => {
      const features = this.featuresOf(visual, { key: key?.fold(0) });
      return { kind, grids: visual.grids, features };
    });
    return this.embedFeatures(inputs, visuals);
  }

  /** @throws DataError when a text has not as many places as its images need */
  checkPlaces(ids: readonly number[], inputs: ImageTextInputs): void {
    for (const { token, count } of this.placesOf(inputs)) {
      const places = ids.filter((id) => id === token).length;
      if (places === count) continue;
      throw new DataError({
        where: this.architecture,
        expected: `${count} places for the images, tokens ${token}`,
        received: `${places}`,
        fix: "make text and images with the model's processor",
      });
    }
  }

  /**
   * Mean cross-entropy of the next tokens, in nats. labels or shiftLabels: i32 [B, T]; places of images should have the
   * label -100. -> []
   */
  loss({ labels, shiftLabels, ...inputs }: ImageTextInputs & NextTokenLabels & RunOptions): Tensor<"f32"> {
    const { logits } = this.forward(inputs);
    return nextTokenLoss(this.architecture, logits, { labels, shiftLabels } as NextTokenLabels);
  }
}

/** Puts rows of features at the places of a token, in order: embeddings [B, T, D], features [N, D] -> [B, T, D] */
export function fillPlaces(
  embeddings: Tensor<"f32">,
  ids: Tensor<"i32">,
  token: number,
  features: Tensor<"f32">,
): Tensor<"f32"> {
  const isPlace = equal(ids, token); // [B, T]
  const rows = gather(features, reshape(maximum(placeNumbers(isPlace), 0) as Tensor<"i32">, [-1]), 0); // [B T, D]
  return where(unsqueeze(isPlace, 2), reshape(rows, embeddings.shape), embeddings) as Tensor<"f32">;
}

/**
 * The number of each place in the whole batch, from 0 on; elsewhere that of the place before it, or -1. bool [B, T] ->
 * i32 [B, T]
 */
export function placeNumbers(isPlace: Tensor<"bool">): Tensor<"i32"> {
  const flat = reshape(cast(isPlace, "i32"), [-1]);
  return reshape(sub(cumsum(flat, { axis: 0 }), 1) as Tensor<"i32">, isPlace.shape);
}
