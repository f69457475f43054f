/** Heads that find objects: what YOLOS and DETR share. */
import { Linear, Module, type Projection } from "../../nn/index.ts";
import { type RandomKey, relu, sigmoid, type Tensor } from "../../tensor/index.ts";
import { modelPart, type OnnxInputs, type OnnxPart } from "../formats/onnx-parts/part.ts";
import type { LabelConfig } from "../labels.ts";
import { type RunOptions, TaskModel, type Trainable } from "../model.ts";
import {
  type DetectionLabels,
  type DetectionLosses,
  type DetectionWeights,
  detectionLosses,
} from "./detection-loss.ts";
import type { ImageInputs } from "./image.ts";

/** What a detector says of each of its Q queries, most of which find nothing. */
export interface DetectionOutput {
  /** Class of each query, the last of which is "nothing": [B, Q, N + 1] */
  logits: Tensor<"f32">;
  /** Centre, width and height of each query's box, as parts of what the labels' boxes were parts of: [B, Q, 4] */
  predBoxes: Tensor<"f32">;
  /** DETR: states of the queries [B, Q, D]; YOLOS: of all tokens, those of the queries last */
  lastHiddenState: Tensor<"f32">;
  /** DETR: states of all places, [B, h w, D] */
  encoderLastHiddenState?: Tensor<"f32">;
}

/** A model that finds objects in images. */
export abstract class ObjectDetector
  extends TaskModel<ImageInputs, DetectionOutput>
  implements Trainable<ImageInputs & DetectionLabels>
{
  static readonly task = "object-detection";
  abstract override readonly config: LabelConfig & DetectionWeights;
  readonly task = ObjectDetector.task;

  /** model.onnx, of which classes and boxes are asked. */
  protected onnxPart(inputs: OnnxInputs): OnnxPart {
    return modelPart<ImageInputs>(inputs, (pictures) => {
      const { logits, predBoxes } = this.forward(pictures);
      return { logits, predBoxes };
    });
  }

  /** pixelValues: [B, 3, H, W] -> logits [B, Q, N + 1] and predBoxes [B, Q, 4] */
  abstract override forward(inputs: ImageInputs & RunOptions): DetectionOutput;

  /** Each object is given to one query, and classes and boxes are compared; see `detectionLosses`. -> [] */
  loss(inputs: ImageInputs & DetectionLabels & RunOptions): Tensor<"f32"> {
    return this.losses(inputs).loss;
  }

  /** The loss and what it is made of. -> [] each */
  losses({ classLabels, boxes, ...inputs }: ImageInputs & DetectionLabels & RunOptions): DetectionLosses {
    const { logits, predBoxes } = this.forward(inputs);
    return detectionLosses(logits, predBoxes, { classLabels, boxes }, this.config);
  }
}

/** Linear layers with relu between: D -> D -> D -> outputs. */
export class PredictionMlp extends Module {
  readonly layers: Projection[];

  constructor(width: number, outputs: number, key: RandomKey) {
    super();
    this.layers = key
      .split(3)
      .map((part, i) => new Linear({ inFeatures: width, outFeatures: i < 2 ? width : outputs }, part));
  }

  /** x: [..., D] -> [..., outputs] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return this.layers.reduce(
      (y, layer, i) => (i < this.layers.length - 1 ? relu(layer.forward(y)) : layer.forward(y)),
      x,
    );
  }
}

/** Boxes, from 0 to 1: states [B, Q, D] -> [B, Q, 4] */
export const boxesOf = (predictor: PredictionMlp, states: Tensor<"f32">): Tensor<"f32"> =>
  sigmoid(predictor.forward(states));
