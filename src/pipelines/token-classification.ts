import { checkOptions } from "../base/index.ts";
import type { TokenClassifier } from "../models/index.ts";
import type { Encoding, Tokenizer } from "../tokenizers/index.ts";
import { finite, labelsOf, requireOneOf, softmax } from "./common.ts";
import { TextPipeline } from "./text-pipeline.ts";
import { type TextBatchOptions, type TextOutputs, textBatchNames, textBatchOf } from "./text-runner.ts";

const strategies = ["none", "simple", "first", "average", "max"] as const;
/** How tokens become names, see `TokenClassificationOptions`. */
export type AggregationStrategy = (typeof strategies)[number];

/** How tokens become names, which classes are left out, and how long texts are read. */
export interface TokenClassificationOptions extends TextBatchOptions {
  /**
   * "none" gives tokens; "simple" joins neighbours of one class; the others first make words of one class each, by
   * their first token, by the mean of all, or by the surest. @default "none"
   */
  aggregationStrategy?: AggregationStrategy;
  /** Classes that are left out. @default ["O"] */
  ignoreLabels?: readonly string[];
  /** Tokens by which parts of a long text overlap; without it the text is cut. */
  stride?: number;
}

/** A token, or, joined, a name. `start` and `end` are places in the text. */
export interface Entity {
  entity?: string;
  entity_group?: string;
  score: number;
  index?: number;
  word: string;
  start: number;
  end: number;
}

interface Token {
  word: string;
  scores: number[];
  start: number;
  end: number;
  index: number;
  isSubword: boolean;
}

/** Names in texts. */
export class TokenClassificationPipeline extends TextPipeline<TokenClassifier> {
  private readonly labels: readonly string[];

  constructor(model: TokenClassifier, tokenizer: Tokenizer) {
    super(model, tokenizer, { outputs: ["logits"], per: "token" });
    this.labels = labelsOf(model);
  }

  /**
   * The tokens or names of a text in their order, without those of `ignoreLabels`; such a list for each of several
   * texts.
   * @throws OptionError for an unknown strategy
   */
  run(input: string, options?: TokenClassificationOptions): Promise<Entity[]>;
  run(inputs: readonly string[], options?: TokenClassificationOptions): Promise<Entity[][]>;
  async run(inputs: string | readonly string[], options: TokenClassificationOptions = {}) {
    checkOptions("token-classification", options, ["aggregationStrategy", "ignoreLabels", "stride", ...textBatchNames]);
    const { aggregationStrategy = "none", ignoreLabels = ["O"], stride = 0 } = options;
    requireOneOf("aggregationStrategy", aggregationStrategy, strategies);
    const isWanted = ({ entity, entity_group: group }: Entity) => !ignoreLabels.includes(entity ?? (group as string));
    return this.runner.answers(inputs, {
      task: "token-classification",
      batch: textBatchOf(options),
      prepare: async (text) => {
        const maxLength = finite(this.runner.longest(this.tokenizer));
        const { overflowing, ...first } = await this.tokenizer.encodeText(text, { maxLength, stride });
        return stride > 0 ? [first as Encoding, ...overflowing] : [first as Encoding];
      },
      answer: (text, parts, results) => {
        const entities = parts.flatMap((part, i) =>
          this.aggregate(this.tokensOf(text, part, results[i]), aggregationStrategy).filter(isWanted),
        );
        return parts.length > 1 ? withoutOverlaps(entities) : entities;
      },
    });
  }

  private tokensOf(text: string, encoding: Encoding, { logits }: TextOutputs): Token[] {
    const classes = this.labels.length;
    const { unk } = this.tokenizer.special;
    const unknown = unk === undefined ? null : this.tokenizer.tokenToId(unk);
    const tokens: Token[] = [];
    for (const [index, id] of encoding.ids.entries()) {
      if (encoding.specialTokensMask[index] === 1) continue;
      const [start, end] = encoding.offsets[index];
      const token = encoding.tokens[index];
      const surface = text.slice(start, end);
      const isUnknown = id === unknown;
      // without marks on tokens that go on a word, a word is what has a space in front
      const isSubword = this.tokenizer.marksSubwords
        ? [...token].length !== [...surface].length
        : start > 0 && !text.slice(start - 1, start + 1).includes(" ");
      const scores = softmax(logits.subarray(index * classes, (index + 1) * classes));
      tokens.push({ word: isUnknown ? surface : token, scores, start, end, index, isSubword: isSubword && !isUnknown });
    }
    return tokens;
  }

  private aggregate(tokens: readonly Token[], strategy: AggregationStrategy): Entity[] {
    if (strategy === "none" || strategy === "simple") {
      const entities = tokens.map(({ scores, index, word, start, end }) => ({
        ...this.best(scores),
        index,
        word,
        start,
        end,
      }));
      return strategy === "none" ? entities : this.group(entities);
    }
    const words: Token[][] = [];
    for (const token of tokens) {
      if (token.isSubword && words.length > 0) words[words.length - 1].push(token);
      else words.push([token]);
    }
    return this.group(words.map((word) => this.wordOf(word, strategy)));
  }

  private best(scores: readonly number[]): { entity: string; score: number } {
    const score = Math.max(...scores);
    return { entity: this.labels[scores.indexOf(score)], score };
  }

  private wordOf(tokens: readonly Token[], strategy: AggregationStrategy): Entity {
    const surest = tokens.reduce((a, b) => (Math.max(...b.scores) > Math.max(...a.scores) ? b : a));
    const mean = tokens[0].scores.map((_, i) => tokens.reduce((sum, { scores }) => sum + scores[i], 0) / tokens.length);
    const scores = strategy === "first" ? tokens[0].scores : strategy === "max" ? surest.scores : mean;
    const word = this.tokenizer.joinTokens(tokens.map((token) => token.word));
    return { ...this.best(scores), word, start: tokens[0].start, end: tokens[tokens.length - 1].end };
  }

  /** Joins neighbours of one class; "B-" begins a new name. */
  private group(entities: readonly Entity[]): Entity[] {
    const groups: Entity[][] = [];
    for (const entity of entities) {
      const last = groups[groups.length - 1];
      const { isBegin, tag } = tagOf(entity);
      if (last && !isBegin && tag === tagOf(last[last.length - 1]).tag) last.push(entity);
      else groups.push([entity]);
    }
    return groups.map((members) => ({
      entity_group: (members[0].entity as string).replace(/^[^-]*-/, ""),
      score: members.reduce((sum, { score }) => sum + score, 0) / members.length,
      word: this.tokenizer.joinTokens(members.map(({ word }) => word)),
      start: members[0].start,
      end: members[members.length - 1].end,
    }));
  }
}

function tagOf({ entity = "" }: Entity): { isBegin: boolean; tag: string } {
  return { isBegin: entity.startsWith("B-"), tag: /^[BI]-/.test(entity) ? entity.slice(2) : entity };
}

/** Of names that overlap where parts of a text do, the longer one, or the surer. */
function withoutOverlaps(entities: readonly Entity[]): Entity[] {
  if (entities.length === 0) return [];
  const sorted = [...entities].sort((a, b) => a.start - b.start);
  const kept: Entity[] = [];
  let previous = sorted[0];
  for (const entity of sorted) {
    if (previous.start <= entity.start && entity.start < previous.end) {
      const [length, before] = [entity.end - entity.start, previous.end - previous.start];
      if (length > before || (length === before && entity.score > previous.score)) previous = entity;
    } else {
      kept.push(previous);
      previous = entity;
    }
  }
  return [...kept, previous];
}
