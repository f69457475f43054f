import { gelu, relu, silu, type Tensor, tanh } from "../tensor/index.ts";

/** Activations by the names that config.json files use. */
export type Activation = "gelu_new" | "gelu_pytorch_tanh" | "gelu" | "relu" | "silu" | "tanh";

const geluTanh = (x: Tensor<"f32">) => gelu(x, "tanh");
export const activations: Readonly<Record<Activation, (x: Tensor<"f32">) => Tensor<"f32">>> = {
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu: (x) => gelu(x, "none"),
  relu,
  silu,
  tanh,
};
