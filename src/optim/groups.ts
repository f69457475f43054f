import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { type KeyPattern, matchesKey, type Parameter } from "../nn/index.ts";

/** Decides by key and parameter whether weight decay applies. */
export type DecayGroup = (key: string, parameter: Parameter) => boolean;

/** Matrices decay; biases and normalisation weights do not. */
export const decayMatrices: DecayGroup = (_, { shape }) => shape.length >= 2;

/** All parameters decay. */
export const decayAll: DecayGroup = () => true;

/**
 * All parameters decay but those that one of the patterns means.
 *
 * @example
 * const model = new Linear({ inFeatures: 2, outFeatures: 3 }, randomKey(0));
 * new AdamW(model.namedParameters(), { decays: decayExcept("bias", /norm/) }).state.size; // 5
 */
export const decayExcept =
  (...patterns: readonly KeyPattern[]): DecayGroup =>
  (key, parameter) =>
    !patterns.some((pattern) => matchesKey(pattern, key, parameter));

/** Parameters that have settings of their own: those of the optimizer that it names, for `S` its settings. */
export type ParameterGroup<S = object> = Partial<S> & {
  /** For messages. */
  name: string;
  /** Which parameters. Of several groups that mean a parameter, the first has it. */
  matches: KeyPattern;
  /** Multiplies the learning rate. @default 1 */
  learningRateMultiplier?: number;
  /** Which of them decay. @default as the optimizer's */
  decays?: DecayGroup;
};

/**
 * The group of each parameter that is in one, by key.
 * @throws OptionError for a group that has no parameter
 */
export function membersOfGroups<G extends Pick<ParameterGroup, "name" | "matches">>(
  where: string,
  parameters: ReadonlyMap<string, Parameter>,
  groups: readonly G[],
): Map<string, G> {
  const members = new Map<string, G>();
  for (const [key, parameter] of parameters) {
    const group = groups.find(({ matches }) => matchesKey(matches, key, parameter));
    if (group) members.set(key, group);
  }
  const used = new Set(members.values());
  for (const group of groups) {
    if (used.has(group)) continue;
    throw new OptionError({
      where,
      expected: `a parameter in group "${group.name}"`,
      received: `none of ${[...parameters.keys()].slice(0, 4).join(", ")}${parameters.size > 4 ? ", ..." : ""}`,
      fix: "correct its pattern, or put it before the group that has its parameters",
    });
  }
  return members;
}

/** How learning rates fall from the head of a stack of layers to its embeddings. */
export interface LayerwiseOptions {
  /** The rate of each layer is that of the next one times this, above 0 and at most 1. */
  decay: number;
  /** Its first capture in a key is the layer's number. @default ".layer.3.", ".layers.3.", ".h.3.", ".blocks.3." ... */
  layer?: RegExp;
  /** What stands before the first layer. @default keys with "embed", wte, wpe, cls_token, patch_embed, pos_embed */
  embeddings?: KeyPattern;
}

const LAYER = /(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\./;
const EMBEDDINGS = /embed|(?:^|\.)(?:wte|wpe|cls_token|position|shared)(?:\.|$)/;

/**
 * Groups for fine-tuning a stack of L layers: parameters behind the layers have the whole learning rate, layer i has
 * decay^(L - i) of it, embeddings decay^(L + 1). Howard and Ruder 2018, arXiv:1801.06146, section 3.2, as BEiT, ELECTRA
 * and MAE use it.
 * @throws OptionError for a decay out of range, or where no key has a layer's number
 *
 * @example
 * const w = () => new Parameter([1], Float32Array.of(0));
 * const parameters = new Map([["embed.weight", w()], ["layer.0.weight", w()], ["head.weight", w()]]);
 * const groups = layerwiseLearningRates(parameters, { decay: 0.5 });
 * groups.map((group) => group.learningRateMultiplier); // [0.25, 0.5]
 */
export function layerwiseLearningRates(
  parameters: ReadonlyMap<string, Parameter>,
  options: LayerwiseOptions,
): ParameterGroup[] {
  const where = "layerwiseLearningRates";
  checkOptions(where, options, ["decay", "layer", "embeddings"]);
  const { decay, layer = LAYER, embeddings = EMBEDDINGS } = options;
  const pattern = new RegExp(layer, layer.flags.replace(/[gy]/g, "")); // those would go on where the last key ended
  const inside = { range: "above 0 and at most 1", isFine: (value: number) => value > 0 && value <= 1 };
  requireNumbers(where, { decay }, { decay: inside });
  const numberOf = (key: string): number | undefined => {
    const text = pattern.exec(key)?.[1];
    return text === undefined ? undefined : Number(text);
  };
  const numbers = [...new Set([...parameters.keys()].flatMap((key) => numberOf(key) ?? []))].sort((a, b) => a - b);
  const last = numbers.at(-1);
  if (last === undefined || !numbers.every(numberRules.wholeNumber.isFine)) {
    throw new OptionError({
      where,
      expected: `keys with a layer's number, by ${layer}`,
      received: [...parameters.keys()].slice(0, 4).join(", "),
      fix: "give the pattern of the layers' keys",
    });
  }
  const isEmbedding: KeyPattern = (key, parameter) =>
    numberOf(key) === undefined && matchesKey(embeddings, key, parameter);
  const layers = numbers.map(
    (number): ParameterGroup => ({
      name: `layer ${number}`,
      matches: (key) => numberOf(key) === number,
      learningRateMultiplier: decay ** (last + 1 - number),
    }),
  );
  const hasEmbeddings = [...parameters].some(([key, parameter]) => isEmbedding(key, parameter));
  const first = { name: "embeddings", matches: isEmbedding, learningRateMultiplier: decay ** (last + 2) };
  return hasEmbeddings ? [first, ...layers] : layers;
}
