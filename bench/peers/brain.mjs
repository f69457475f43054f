// @ts-check
/**
 * brain.js as a peer: the plain mlp only. Its NeuralNetwork is JavaScript on one thread and updates the weights after
 * every example (there are no batches), so a step here is one pass over as many examples as a batch has, and that many
 * Adam updates. Its loss is the squared error, its output layer has the hidden layers' activation, and it has no
 * softmax.
 *   node brain.mjs --workload mlp
 */
import { readFileSync } from "node:fs";
import { NeuralNetwork } from "brain.js";
import { integers, peerArguments, serve, uniforms } from "./serve.mjs";

const { workload, batch = 128 } = peerArguments();
if (workload !== "mlp") throw new Error(`brain.js has no ${workload}`);
const sizes = [784, 512, 256, 10];
const network = new NeuralNetwork({
  inputSize: 784,
  hiddenLayers: [512, 256],
  outputSize: 10,
  activation: "relu",
  learningRate: 1e-3,
  praxis: "adam",
});
network.sizes = sizes;
network.initialize();

const data = () =>
  Array.from({ length: batch }, () => {
    const output = new Float32Array(10);
    output[integers(1, 10)[0]] = 1;
    return { input: uniforms(784), output };
  });

const parameters = sizes.slice(1).reduce((sum, size, i) => sum + size * (sizes[i] + 1), 0);
const { version } = JSON.parse(readFileSync(new URL("node_modules/brain.js/package.json", import.meta.url), "utf8"));
await serve({ parameters, batch, version: `brain.js ${version}`, threads: 1 }, data, (examples) => {
  for (const example of examples) network.trainPattern(example, true);
});
