/** The networks of @vladmandic/face-api, from its weights: convolutional networks as others have trained them. */
import { join } from "node:path";
import { readTfjsWeights } from "../files/index.ts";
import {
  add,
  averagePool,
  clip,
  concat,
  conv,
  div,
  exp,
  leakyRelu,
  matmul,
  maxPool,
  mean,
  mul,
  pad,
  relu,
  reshape,
  sigmoid,
  slice,
  softmax,
  sqrt,
  sub,
  type Tensor,
  tensor,
  transpose,
} from "../tensor/index.ts";

type X = Tensor<"f32">;
const x32 = (value: Tensor) => value as X;

/** Weights by their names; filters as [out, in, height, width]. */
export class FaceWeights {
  private readonly tensors: ReadonlyMap<string, X>;

  private constructor(tensors: ReadonlyMap<string, X>) {
    this.tensors = tensors;
  }

  static async open(folder: string, name: string): Promise<FaceWeights> {
    const stored = await readTfjsWeights(join(folder, `model/${name}-weights_manifest.json`));
    const turned = ([key, { dtype, shape, data }]: [
      string,
      { dtype: string; shape: readonly number[]; data: unknown },
    ]): [string, X][] => {
      if (dtype !== "f32") return [];
      const weight = tensor(data as Float32Array, { shape });
      if (shape.length !== 4) return [[key, weight]];
      // what belongs to each channel alone is [height, width, channels, 1]
      return [[key, x32(transpose(weight, /depthwise/.test(key) ? [2, 3, 0, 1] : [3, 2, 0, 1]))]];
    };
    return new FaceWeights(new Map([...stored].flatMap(turned)));
  }

  get(name: string): X {
    const weight = this.tensors.get(name);
    if (!weight) throw new Error(`no weight ${name}`);
    return weight;
  }
  has(name: string): boolean {
    return this.tensors.has(name);
  }
}

/**
 * Border as TensorFlow's "same": the output has one place for every `stride` of the input, and what is odd goes behind.
 */
function same(x: X, kernel: number, stride: number, value = 0): X {
  const sides = x.shape.slice(2).map((size): [number, number] => {
    const total = Math.max((Math.ceil((size as number) / stride) - 1) * stride + kernel - (size as number), 0);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  });
  return sides.every(([a, b]) => a + b === 0) ? x : x32(pad(x, [[0, 0], [0, 0], ...sides], { value }));
}
const maxSame = (x: X, kernel: number, stride: number) =>
  x32(maxPool(same(x, kernel, stride, -1e30), { kernelSize: kernel, stride }));
const channels = (bias: X): X => reshape(bias, [1, -1, 1, 1]);

function convSame(x: X, filters: X, bias: X, stride = 1): X {
  return x32(conv(same(x, filters.shape[2] as number, stride), filters, bias, { stride }));
}
function separable(w: FaceWeights, name: string, x: X, stride = 1): X {
  const depthwise = w.get(`${name}/depthwise_filter`);
  const each = conv(same(x, 3, stride), depthwise, undefined, { stride, groups: depthwise.shape[0] as number });
  return x32(conv(x32(each), w.get(`${name}/pointwise_filter`), w.get(`${name}/bias`)));
}
const plain = (w: FaceWeights, name: string, x: X, stride = 1): X =>
  convSame(x, w.get(`${name}/filters`), w.get(`${name}/bias`), stride);
const normalized = (x: X, means: number[]): X =>
  x32(div(sub(x, tensor(Float32Array.from(means), { shape: [1, 3, 1, 1] })), 255));
const FACE_MEANS = [122.782, 117.001, 104.298];
const fullyConnected = (w: FaceWeights, name: string, x: X): X =>
  x32(add(matmul(reshape(x, [1, -1]), w.get(`${name}/weights`)), w.get(`${name}/bias`)));

/** Boxes of a small YOLO, as numbers of each cell: [1, h, w, 25]. */
function tinyFaceDetector(w: FaceWeights, pixels: X): Record<string, X> {
  let x = x32(
    leakyRelu(conv(normalized(pixels, [117.001, 114.697, 97.404]), w.get("conv0/filters"), w.get("conv0/bias")), 0.1),
  );
  for (let i = 1; i <= 5; i++) {
    x = maxSame(x, 2, 2);
    x = x32(leakyRelu(separable(w, `conv${i}`, x), 0.1));
  }
  x = maxSame(x, 2, 1);
  for (const name of ["conv6", "conv7"]) if (w.has(`${name}/bias`)) x = x32(leakyRelu(separable(w, name, x), 0.1));
  return { boxes: x32(transpose(conv(x, w.get("conv8/filters"), w.get("conv8/bias")), [0, 2, 3, 1])) };
}

/** Each convolution sees the sum of all before it. */
function denseBlock(w: FaceWeights, name: string, x: X, count: number): X {
  let sum = w.has(`${name}/conv0/filters`) ? plain(w, `${name}/conv0`, x, 2) : separable(w, `${name}/conv0`, x, 2);
  sum = x32(relu(sum));
  for (let i = 1; i < count; i++) {
    const next = separable(w, `${name}/conv${i}`, x32(relu(sum)));
    sum = x32(add(sum, next));
  }
  return x32(relu(sum));
}
function faceFeatures(w: FaceWeights, pixels: X): X {
  const isTiny = !w.has("dense3/conv0/bias");
  let x = normalized(pixels, FACE_MEANS);
  for (const name of isTiny ? ["dense0", "dense1", "dense2"] : ["dense0", "dense1", "dense2", "dense3"])
    x = denseBlock(w, name, x, isTiny ? 3 : 4);
  return x32(averagePool(x, { kernelSize: isTiny ? 14 : 7, stride: 2 }));
}
const landmarks = (w: FaceWeights, pixels: X) => ({ points: fullyConnected(w, "fc", faceFeatures(w, pixels)) });
const expressions = (w: FaceWeights, pixels: X) => ({
  probabilities: x32(softmax(fullyConnected(w, "fc", faceFeatures(w, pixels)))),
});

/** A small Xception. Chollet 2017, arXiv:1610.02357. */
function ageGender(w: FaceWeights, pixels: X): Record<string, X> {
  const reduce = (name: string, x: X, isActivated = true) => {
    let y = separable(w, `${name}/separable_conv0`, isActivated ? x32(relu(x)) : x);
    y = separable(w, `${name}/separable_conv1`, x32(relu(y)));
    return x32(add(maxSame(y, 3, 2), plain(w, `${name}/expansion_conv`, x, 2)));
  };
  let x = x32(relu(plain(w, "entry_flow/conv_in", normalized(pixels, FACE_MEANS), 2)));
  x = reduce("entry_flow/reduction_block_0", x, false);
  x = reduce("entry_flow/reduction_block_1", x);
  for (let i = 0; w.has(`middle_flow/main_block_${i}/separable_conv0/bias`); i++) {
    let y = x;
    for (const name of ["separable_conv0", "separable_conv1", "separable_conv2"])
      y = separable(w, `middle_flow/main_block_${i}/${name}`, x32(relu(y)));
    x = x32(add(x, y));
  }
  x = reduce("exit_flow/reduction_block", x);
  x = x32(averagePool(relu(separable(w, "exit_flow/separable_conv", x)), { kernelSize: 7, stride: 2 }));
  return { age: reshape(fullyConnected(w, "fc/age", x), [1]), gender: x32(softmax(fullyConnected(w, "fc/gender", x))) };
}

/** A ResNet of 29 layers whose 128 numbers are near for one person. */
function faceRecognition(w: FaceWeights, pixels: X): Record<string, X> {
  const layer = (name: string, x: X, stride: number) => {
    const [filters, bias] = [w.get(`${name}/conv/filters`), w.get(`${name}/conv/bias`)];
    const y = stride === 1 ? convSame(x, filters, bias) : conv(x, filters, bias, { stride });
    return x32(add(mul(y, channels(w.get(`${name}/scale/weights`))), channels(w.get(`${name}/scale/biases`))));
  };
  const residual = (name: string, x: X) =>
    x32(relu(add(layer(`${name}/conv2`, x32(relu(layer(`${name}/conv1`, x, 1))), 1), x)));
  const down = (name: string, x: X) => {
    const y = layer(`${name}/conv2`, x32(relu(layer(`${name}/conv1`, x, 2))), 1);
    const pooled = x32(averagePool(x, { kernelSize: 2, stride: 2 }));
    const [before, after] = [pooled.shape, y.shape] as number[][];
    const wider = pad(pooled, [
      [0, 0],
      [0, after[1] - before[1]],
      [0, 0],
      [0, 0],
    ]);
    const larger = pad(y, [
      [0, 0],
      [0, 0],
      [0, before[2] - after[2]],
      [0, before[3] - after[3]],
    ]);
    return x32(relu(add(wider, larger)));
  };
  let x = x32(maxPool(relu(layer("conv32_down", normalized(pixels, FACE_MEANS), 2)), { kernelSize: 3, stride: 2 }));
  for (const [width, count] of [
    [32, 3],
    [64, 3],
    [128, 2],
    [256, 2],
  ]) {
    if (width > 32) x = down(`conv${width}_down`, x);
    for (let i = 1; i <= count; i++) x = residual(`conv${width}_${i}`, x);
  }
  x = down("conv256_down_out", x);
  return { descriptor: x32(matmul(mean(x, { axes: [2, 3] }), w.get("fc"))) };
}

/** MobileNet with boxes at six sizes. Howard et al. 2017, arXiv:1704.04861; Liu et al. 2016, arXiv:1512.02325. */
function ssdMobileNet(w: FaceWeights, pixels: X): Record<string, X> {
  const relu6 = (x: Tensor) => x32(clip(x, { min: 0, max: 6 }));
  const pointwise = (prefix: string, i: number, x: X, stride: number) =>
    relu6(
      convSame(
        x,
        w.get(`${prefix}/Conv2d_${i}_pointwise/weights`),
        w.get(`${prefix}/Conv2d_${i}_pointwise/convolution_bn_offset`),
        stride,
      ),
    );
  const depthwise = (i: number, x: X, stride: number) => {
    const name = `MobilenetV1/Conv2d_${i}_depthwise`;
    const [scale, offset, average, variance] = ["gamma", "beta", "moving_mean", "moving_variance"].map((part) =>
      channels(w.get(`${name}/BatchNorm/${part}`)),
    );
    const filters = w.get(`${name}/depthwise_weights`);
    const y = conv(same(x, 3, stride), filters, undefined, { stride, groups: filters.shape[0] as number });
    return relu6(add(mul(div(sub(y, average), sqrt(add(variance, 0.0010000000474974513))), scale), offset));
  };
  let x = pointwise("MobilenetV1", 0, x32(sub(div(pixels, 127.5), 1)), 2);
  const maps: X[] = [];
  for (let i = 1; i <= 13; i++) {
    x = pointwise("MobilenetV1", i, depthwise(i, x, [2, 4, 6, 12].includes(i) ? 2 : 1), 1);
    if (i === 11 || i === 13) maps.push(x);
  }
  for (let i = 0; i < 8; i++) {
    x = pointwise("Prediction", i, x, i % 2 === 0 ? 1 : 2);
    if (i % 2 === 1) maps.push(x);
  }
  const predict = (what: string, width: number) =>
    concat(
      maps.map((map, i) => {
        const name = `Prediction/BoxPredictor_${i}/${what}`;
        const prediction = conv(map, w.get(`${name}/weights`), w.get(`${name}/biases`));
        return reshape(x32(transpose(prediction, [0, 2, 3, 1])), [-1, width]);
      }),
      0,
    );
  const column = (table: X, i: number) => slice(table, { axis: 1, start: i, end: i + 1 });
  const [anchors, moved] = [reshape(w.get("Output/extra_dim"), [-1, 4]), predict("BoxEncodingPredictor", 4)];
  const corners = [0, 1].map((i) => {
    const size = sub(column(anchors, i + 2), column(anchors, i));
    const centre = add(add(column(anchors, i), div(size, 2)), mul(div(column(moved, i), 10), size));
    const half = div(mul(exp(div(column(moved, i + 2), 5)), size), 2);
    return [sub(centre, half), add(centre, half)].map(x32);
  });
  const boxes = concat([corners[0][0], corners[1][0], corners[0][1], corners[1][1]], 1);
  return { boxes, scores: reshape(x32(sigmoid(column(predict("ClassPredictor", 3), 1))), [-1]) };
}

/** pixels: [1, 3, side, side], 0 to 255. */
export const faceNetworks: Readonly<Record<string, (w: FaceWeights, pixels: X) => Record<string, X>>> = {
  tiny_face_detector_model: tinyFaceDetector,
  face_landmark_68_model: landmarks,
  face_landmark_68_tiny_model: landmarks,
  face_expression_model: expressions,
  age_gender_model: ageGender,
  face_recognition_model: faceRecognition,
  ssd_mobilenetv1_model: ssdMobileNet,
};
