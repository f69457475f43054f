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
/** Activations by the names that config.json files use. Each works elementwise: x: [...] -> the same shape. */
export const activations = {
  /** x times the probability that a standard normal number is below x. Hendrycks and Gimpel 2016, arXiv:1606.08415. */
  gelu: (x: Tensor<"f32">) => gelu(x, "none"),
  /** The same as gelu. */
  gelu_python: (x: Tensor<"f32">) => gelu(x, "none"),
  /** GELU by its approximation with tanh, as GPT-2 has it. arXiv:1606.08415, section 2. */
  gelu_new: geluTanh,
  /** The same as gelu_new. */
  gelu_fast: geluTanh,
  /** The same as gelu_new. */
  gelu_pytorch_tanh: geluTanh,
  /** x sigmoid(1.702 x), of CLIP. */
  quick_gelu: (x: Tensor<"f32">) => mul(x, sigmoid(mul(x, 1.702))),
  relu,
  /** max(x, 0) squared. So et al. 2021, arXiv:2109.08668. */
  relu2: reluSquared,
  relu6,
  silu,
  /** The same as silu. */
  swish: silu,
  mish,
  /** x, and exp(x) - 1 below 0. Clevert et al. 2015, arXiv:1511.07289. */
  elu: (x: Tensor<"f32">) => elu(x),
  selu,
  hardswish,
  softsign,
  sigmoid,
  tanh,
  /** x itself. */
  linear: (x: Tensor<"f32">) => x,
} as const satisfies Readonly<Record<string, (x: Tensor<"f32">) => Tensor<"f32">>>;

/** The name of an activation, as `hidden_act` of a config.json has it. */
export type Activation = keyof typeof activations;
/** The names of all activations, to check a config with. */
export const activationNames = Object.keys(activations) as readonly Activation[];
