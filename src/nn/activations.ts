import {
  elu,
  gelu,
  hardswish,
  mish,
  mul,
  relu,
  relu6,
  reluSquared,
  selu,
  sigmoid,
  silu,
  softsign,
  type Tensor,
  tanh,
} from "../tensor/index.ts";

const geluTanh = (x: Tensor<"f32">) => gelu(x, "tanh");
/** Activations by the names that config.json files use. */
export const activations = {
  gelu: (x: Tensor<"f32">) => gelu(x, "none"),
  gelu_python: (x: Tensor<"f32">) => gelu(x, "none"),
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  /** x sigmoid(1.702 x), of CLIP. */
  quick_gelu: (x: Tensor<"f32">) => mul(x, sigmoid(mul(x, 1.702))),
  relu,
  relu2: reluSquared,
  relu6,
  silu,
  swish: silu,
  mish,
  elu: (x: Tensor<"f32">) => elu(x),
  selu,
  hardswish,
  softsign,
  sigmoid,
  tanh,
  linear: (x: Tensor<"f32">) => x,
} as const satisfies Readonly<Record<string, (x: Tensor<"f32">) => Tensor<"f32">>>;

export type Activation = keyof typeof activations;
export const activationNames = Object.keys(activations) as readonly Activation[];
