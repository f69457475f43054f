/** The loss of detectors, and COCO's numbers of what they find. */
import { type Detection, detectionScores, type GroundTruth } from "../../metrics/index.ts";
import { detectedObjects, type ObjectDetector } from "../../models/index.ts";
import { tensor } from "../../tensor/index.ts";
import { type HostTensor, type Objective, type Scorer, type SupervisedOptions, supervised } from "../../train/index.ts";
import type { DetectionBatch } from "./detection-batches.ts";
import type { DetectionForm } from "./detection-form.ts";
import type { LabelledPicture } from "./object-rows.ts";
import { withForm } from "./picture-form.ts";

/** What of a detector is trained, and what it is measured on. */
export interface DetectorOptions extends SupervisedOptions {
  /** How pictures are prepared, which is saved beside the model. */
  form: Pick<DetectionForm, "save">;
  /** Names of the classes. */
  classes: readonly string[];
  /** The pictures of evaluation, by the numbers that batches have; others are measured by the labels of the batch. */
  measured?: readonly LabelledPicture[];
}

/**
 * The objective of batches of pictures and objects: the model's loss, with its parts beside it. Measures COCO's numbers
 * over the whole validation data, in which each query says its likeliest class, however unlikely.
 */
export function detector(
  model: ObjectDetector,
  { form, classes, measured = [], ...options }: DetectorOptions,
): Objective<DetectionBatch> {
  const objective = withForm(supervised<DetectionBatch>(model as never, options), form);
  return {
    ...objective,
    loss({ frames: _, pictures: __, ...batch }, run) {
      const { loss, ...metrics } = model.losses({ ...batch, ...run });
      return { loss, weight: tensor(batch.classLabels.size(0)), metrics };
    },
    scorer: () => detectionScorer(model, classes, measured),
  };
}

function detectionScorer(
  model: ObjectDetector,
  classes: readonly string[],
  measured: readonly LabelledPicture[],
): Scorer<DetectionBatch> {
  let detections: Detection[] = [];
  let truth: GroundTruth[] = [];
  let seen = 0;
  return {
    outputs({ pictures, frames, classLabels, boxes, ...inputs }) {
      const { logits, predBoxes } = model.forward(inputs);
      return { logits, predBoxes, frames, ...(pictures ? { pictures } : { classLabels, boxes }) };
    },
    add(outputs) {
      const { logits, predBoxes, frames, pictures } = outputs as Record<string, HostTensor>;
      const [count, queries, width] = logits.shape;
      for (let i = 0; i < count; i++) {
        const image = seen++;
        const [frameWidth, frameHeight] = rowOf(frames, i, 2);
        const objects = detectedObjects(rowOf(logits, i, queries * width), rowOf(predBoxes, i, queries * 4), {
          classes: width,
          width: frameWidth,
          height: frameHeight,
          threshold: 0,
        });
        for (const { score, label, xMin, yMin, xMax, yMax } of objects)
          detections.push({ image, category: label, score, box: [xMin, yMin, xMax - xMin, yMax - yMin] });
        const picture = pictures && measured[Number(pictures.data[i])];
        truth.push(...(picture ? truthOf(picture, image) : truthOfBatch(outputs, i, image)));
      }
    },
    result() {
      const numbers = truth.length === 0 ? {} : numbersOf(detections, truth, classes);
      [detections, truth, seen] = [[], [], 0];
      return numbers;
    },
  };
}

/** The numbers of one row of a tensor. */
const rowOf = ({ data }: HostTensor, row: number, size: number): Float32Array =>
  (data as Float32Array).subarray(row * size, (row + 1) * size);

const truthOf = ({ objects }: LabelledPicture, image: number): GroundTruth[] =>
  objects.map(({ xMin, yMin, xMax, yMax, label, area, isCrowd }) => ({
    image,
    category: label,
    box: [xMin, yMin, xMax - xMin, yMax - yMin],
    ...(area !== undefined && { area }),
    isCrowd,
  }));

/** Of batches that are learned from, which are measured too where a few are learned by heart. */
function truthOfBatch(outputs: Readonly<Record<string, HostTensor>>, row: number, image: number): GroundTruth[] {
  const { classLabels, boxes, frames } = outputs;
  const most = classLabels.shape[1];
  const [width, height] = rowOf(frames, row, 2);
  const labels = Array.from(classLabels.data as Int32Array).slice(row * most, (row + 1) * most);
  return labels.flatMap((label, j) => {
    if (label < 0) return [];
    const [x, y, w, h] = rowOf(boxes, row * most + j, 4);
    return [
      { image, category: label, box: [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height] as const },
    ];
  });
}

/** COCO's numbers by their names; without those of sizes and classes of which there is nothing. */
function numbersOf(
  detections: readonly Detection[],
  truth: readonly GroundTruth[],
  classes: readonly string[],
): Record<string, number> {
  const scores = detectionScores(detections, truth);
  const { map, map50, map75, mapSmall, mapMedium, mapLarge, recallAt, byCategory } = scores;
  const named = { map, map50, map75, mapSmall, mapMedium, mapLarge };
  const recalls = Object.entries(recallAt).map(([limit, value]) => [`recallAt${limit}`, value] as const);
  const each = [...byCategory].map(([label, value]) => [`map/${classes[Number(label)]}`, value] as const);
  return Object.fromEntries([...Object.entries(named), ...recalls, ...each].filter(([, value]) => value >= 0));
}
