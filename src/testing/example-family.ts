/**
 * A language model that Kindling does not bring: attention and feed-forward layer of each block side by side, as in
 * GPT-J. docs/models.md shows this file, and src/models/registered.test.ts runs it.
 */
import {
  type BlockOptions,
  CausalLM,
  type CausalLMConfig,
  configFields,
  type Family,
  type ForwardOptions,
  registerFamily,
  runBlocks,
} from "../models/index.ts";
import {
  activations,
  Embedding,
  type EmbeddingTable,
  LayerNorm,
  Linear,
  Module,
  multiHeadAttention,
  normalInit,
  type Projection,
} from "../nn/index.ts";
import { add, type RandomKey, type Tensor } from "../tensor/index.ts";

export interface ParallelConfig extends CausalLMConfig {
  numHeads: number;
}

const { flag, fromJson, makeConfig, requireField, size, toJson, tokenId, tokenIds } = configFields;
const fields: configFields.Fields<ParallelConfig> = {
  vocabSize: size("vocab_size", 256),
  hiddenSize: size("hidden_size", 128),
  numLayers: size("num_hidden_layers", 4),
  numHeads: size("num_attention_heads", 4),
  maxPositionEmbeddings: size("max_position_embeddings", 512),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
  bosTokenId: tokenId("bos_token_id"),
  eosTokenId: tokenIds("eos_token_id"),
};

/** x + attention(norm(x)) + mlp(norm(x)) */
class ParallelBlock extends Module {
  readonly norm: LayerNorm;
  readonly query: Projection; // [D, D]
  readonly key: Projection; //   [D, D]
  readonly value: Projection; // [D, D]
  readonly out: Projection; //   [D, D]
  readonly up: Projection; //    [4 D, D]
  readonly down: Projection; //  [D, 4 D]
  private readonly numHeads: number;

  constructor({ hiddenSize: width, numHeads }: ParallelConfig, key: RandomKey) {
    super();
    const linear = (inFeatures: number, outFeatures: number, part: number) =>
      new Linear({ inFeatures, outFeatures }, key.fold(part));
    this.norm = new LayerNorm({ width }, key);
    this.query = linear(width, width, 0);
    this.key = linear(width, width, 1);
    this.value = linear(width, width, 2);
    this.out = linear(width, width, 3);
    this.up = linear(width, 4 * width, 4);
    this.down = linear(4 * width, width, 5);
    this.numHeads = numHeads;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { cache, mask }: BlockOptions): Tensor<"f32"> {
    const normal = this.norm.forward(x);
    const [q, k, v] = [this.query.forward(normal), this.key.forward(normal), this.value.forward(normal)] as const;
    const attended = multiHeadAttention(q, k, v, { numHeads: this.numHeads, isCausal: true, cache, mask });
    const mlp = this.down.forward(activations.gelu(this.up.forward(normal)));
    return add(x, add(this.out.forward(attended), mlp));
  }
}

export class ParallelForCausalLM extends CausalLM {
  readonly tokens: EmbeddingTable; //    [V, D]
  readonly positions: EmbeddingTable; // [maxPositionEmbeddings, D]
  readonly blocks: ParallelBlock[];
  readonly config: ParallelConfig;
  readonly family: Family = parallel;

  constructor(options: Partial<ParallelConfig>, key: RandomKey) {
    super();
    this.config = makeConfig("ParallelConfig", fields, options);
    const { vocabSize, hiddenSize: embeddingDim, numLayers, numHeads, maxPositionEmbeddings } = this.config;
    const isMultiple = embeddingDim % numHeads === 0;
    requireField("ParallelConfig", isMultiple, "hiddenSize to be a multiple of numHeads", [embeddingDim, numHeads]);
    const init = normalInit(0.02); // small, since the table is the output layer too
    this.tokens = new Embedding({ numEmbeddings: vocabSize, embeddingDim, init }, key.fold(0));
    this.positions = new Embedding({ numEmbeddings: maxPositionEmbeddings, embeddingDim, init }, key.fold(1));
    this.blocks = key
      .fold(2)
      .split(numLayers)
      .map((part) => new ParallelBlock(this.config, part));
  }

  get cacheShape() {
    const { numLayers, numHeads, hiddenSize } = this.config;
    return { numLayers, numKeyHeads: numHeads, headDim: hiddenSize / numHeads };
  }

  embed(inputIds: Tensor<"i32">): Tensor<"f32"> {
    return this.tokens.forward(inputIds);
  }

  hidden(inputIds: Tensor<"i32">, options: ForwardOptions = {}): Tensor<"f32"> {
    const positions = this.positions.forward(this.positionsOf(inputIds, options));
    const embedded = add(options.embeddings ?? this.embed(inputIds), positions); // [B, T, D]
    return runBlocks("blocks", this.blocks, embedded, options, {});
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    return this.tokens.project(hidden);
  }
}

export const parallel: Family = {
  modelType: "parallel",
  classes: { ParallelForCausalLM },
  configKeys: { fields, supported: { tie_word_embeddings: [true] } },
  configFromJson: (path, json) => fromJson(path, json, fields),
  configToJson: ({ config }) => toJson(config as ParallelConfig, fields),
};
registerFamily(parallel);
