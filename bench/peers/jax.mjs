// @ts-check
/**
 * jax-js as a peer: its wasm backend, the step under jit, as its documentation advises.
 *   node jax.mjs --workload mlp|lstm|resnet18|bert|gpt-S|gpt-M|gpt-L
 */
import { readFileSync } from "node:fs";
import { defaultDevice, init, jit, numpy as np, valueAndGrad } from "@jax-js/jax";
import { parameters, workloads } from "./jax-models.mjs";
import { peerArguments, serve } from "./serve.mjs";

/** @typedef {import("./jax-models.mjs").Value} Value */

const { workload, batch: asked } = peerArguments();
await init("wasm");
defaultDevice("wasm");
if (!(workload in workloads))
  throw new Error(`jax-js is measured on ${Object.keys(workloads).join(", ")}, not on ${workload}`);
const { batch: defaultBatch, forward, data, optimizer } = workloads[workload]();
const batch = asked ?? defaultBatch;
const count = parameters.reduce((total, p) => total + p.size, 0);

/** The loss and its gradients. @param {Value[]} p @param {Value[]} inputs @returns {[Value, Value[]]} */
const differentiate = (p, inputs) =>
  /** @type {any} */ (
    valueAndGrad((/** @type {Value[]} */ weights) => {
      const result = forward(weights, ...inputs);
      for (const each of weights) each.dispose();
      return result;
    })(p.map((each) => each.ref))
  );

/**
 * One step of Adam; `rate` is the learning rate with both bias corrections. @param {number} beta2 @param {number} clip
 * 0 for none
 */
const adam = (beta2, clip) =>
  jit(
    (
      /** @type {Value[]} */ p,
      /** @type {Value[]} */ m,
      /** @type {Value[]} */ v,
      /** @type {Value[]} */ inputs,
      /** @type {Value} */ rate,
    ) => {
      let [value, gradients] = differentiate(p, inputs);
      if (clip > 0) {
        const norm = np.sqrt(gradients.map((g) => np.square(g.ref).sum()).reduce((a, b) => a.add(b)));
        const scale = np.minimum(1, np.divide(clip, norm.add(1e-6)));
        gradients = gradients.map((g) => g.mul(scale.ref));
        scale.dispose();
      }
      const means = m.map((old, i) => old.mul(0.9).add(gradients[i].ref.mul(0.1)));
      const squares = v.map((old, i) => old.mul(beta2).add(np.square(gradients[i]).mul(1 - beta2)));
      const next = p.map((old, i) => old.sub(rate.ref.mul(means[i].ref).div(np.sqrt(squares[i].ref).add(1e-8))));
      rate.dispose();
      return [value, next, means, squares];
    },
  );

/** One step of SGD with momentum. */
const momentum = () =>
  jit((/** @type {Value[]} */ p, /** @type {Value[]} */ v, /** @type {Value[]} */ inputs) => {
    const [value, gradients] = differentiate(p, inputs);
    const velocities = v.map((old, i) => old.mul(0.9).add(gradients[i]));
    return [value, p.map((old, i) => old.sub(velocities[i].ref.mul(0.1))), velocities];
  });

const zeros = () => parameters.map((p) => np.zeros(p.shape));
/**
 * What a step does with its inputs; it gives a number or an array to wait for. @returns {(inputs: Value[]) => Value}
 */
function stepper() {
  if (!optimizer) {
    const run = jit((/** @type {Value[]} */ p, /** @type {Value[]} */ inputs) => {
      const result = forward(p, ...inputs);
      for (const each of p) each.dispose();
      return result;
    });
    return (inputs) =>
      /** @type {any} */ (run)(
        parameters.map((p) => p.ref),
        inputs,
      );
  }
  if (optimizer.kind === "momentum") {
    const step = /** @type {any} */ (momentum());
    let state = [parameters, zeros()];
    return (inputs) => {
      const [value, ...next] = step(...state, inputs);
      state = next;
      return value;
    };
  }
  const { beta2, clip } = optimizer;
  const step = /** @type {any} */ (adam(beta2, clip));
  let state = [parameters, zeros(), zeros()];
  let steps = 0;
  return (inputs) => {
    steps++;
    const rate = (1e-3 * Math.sqrt(1 - beta2 ** steps)) / (1 - 0.9 ** steps);
    const [value, ...next] = step(...state, inputs, np.array(rate));
    state = next;
    return value;
  };
}

const { version } = JSON.parse(readFileSync(new URL("node_modules/@jax-js/jax/package.json", import.meta.url), "utf8"));
const step = stepper();
await serve(
  { parameters: count, batch, version: `jax-js ${version}`, backend: "wasm" },
  () => data(batch),
  (inputs) => step(inputs).data(),
);
