import { type Activation, activations, Linear, Module, normalInit, type Projection } from "../../nn/index.ts";
import type { RandomKey, Tensor } from "../../tensor/index.ts";
import type { EncoderConfig, EncoderOutput } from "./encoder.ts";
import type { Head } from "./heads.ts";

/** ELECTRA's discriminator: one number for each token, whether it was replaced. */
class DiscriminatorHead extends Module implements Head {
  readonly dense: Projection; //           [D, D]
  readonly densePrediction: Projection; // [1, D]
  private readonly activation: Activation;
  protected override readonly checkpointKeys = {
    dense: "discriminator_predictions.dense",
    densePrediction: "discriminator_predictions.dense_prediction",
  };

  constructor({ hiddenSize, initializerRange, activation }: EncoderConfig, key: RandomKey) {
    super();
    const [denseKey, outKey] = key.split(2);
    const init = normalInit(initializerRange);
    this.dense = new Linear({ inFeatures: hiddenSize, outFeatures: hiddenSize, init }, denseKey);
    this.densePrediction = new Linear({ inFeatures: hiddenSize, outFeatures: 1, init }, outKey);
    this.activation = activation;
  }

  /** lastHiddenState [B, T, D] -> [B, T, 1] */
  forward({ lastHiddenState }: EncoderOutput): Tensor<"f32"> {
    return this.densePrediction.forward(activations[this.activation](this.dense.forward(lastHiddenState)));
  }
}

/** Makes the head of ELECTRA's discriminator. arXiv:2003.10555, section 2. */
export const binaryHead = (config: EncoderConfig, key: RandomKey) => new DiscriminatorHead(config, key);
