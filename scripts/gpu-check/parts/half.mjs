// @ts-check
/** Whether a card computes in f16: an adapter of WebGPU need not. */
import { Device } from "../../../dist/runtime/index.js";
import { compile, matmul, tensor } from "../../../dist/tensor/index.js";
import { provider, textOf } from "./part.mjs";

/** Why products in f16 do not run, if so. */
export async function obstacleToF16() {
  const device = new Device({ type: provider });
  const x = tensor([[1, 2]], { dtype: "f16" });
  const product = compile((/** @type {typeof x} */ a) => matmul(a, a, { transposeB: true }), { device });
  try {
    await product(x).toArray();
    return undefined;
  } catch (cause) {
    return `no f16 here: ${textOf(cause)}`;
  } finally {
    await device.close();
  }
}
