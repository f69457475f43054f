/** The values of states beside a language model. */
import { join } from "node:path";
import { readSafetensors, type StoredTensor, writeSafetensors } from "../../files/index.ts";
import { Linear, loadStateDict, Module, type StateDict } from "../../nn/index.ts";
import { randomKey, reshape, type Tensor } from "../../tensor/index.ts";
import type { Objective } from "../../train/index.ts";

const FILE = "value_head.safetensors";

/** What is to be expected after a token, by the state that tells it: a linear layer that begins with 0. */
export class ValueHead extends Module {
  readonly valueHead: Linear; // [1, D]

  constructor({ hiddenSize }: { hiddenSize: number }) {
    super();
    this.valueHead = new Linear({ inFeatures: hiddenSize, outFeatures: 1 }, randomKey(0));
    for (const parameter of this.namedParameters().values())
      parameter.set(new Float32Array(parameter.shape.reduce((a, b) => a * b, 1)));
  }

  /** states: [..., D] -> [...], as numbers of the shape that is asked for */
  forward(states: Tensor<"f32">, shape: Tensor["shape"]): Tensor<"f32"> {
    return reshape(this.valueHead.forward(states), shape);
  }

  /** An objective that trains the head too, and saves it with checkpoints. */
  extend<B>(objective: Objective<B>): Objective<B> {
    const parameters = this.namedParameters();
    return {
      ...objective,
      trained: new Map([...objective.trained, ...parameters]),
      state: new Map([...objective.state, ...parameters]),
      async save(folder) {
        await objective.save(folder);
        const tensors = new Map<string, StoredTensor>();
        for (const [name, parameter] of parameters)
          tensors.set(name, { dtype: "f32", shape: parameter.shape, data: await parameter.read() });
        await writeSafetensors(join(folder, FILE), tensors);
      },
      async load(folder) {
        const path = join(folder, FILE);
        const { tensors } = await readSafetensors(path);
        await objective.load(folder);
        loadStateDict(path, parameters, tensors as StateDict);
      },
    };
  }
}
