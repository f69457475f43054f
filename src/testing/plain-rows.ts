import type { BeamRunner, ContrastiveRunner } from "../generate/index.ts";
import type { CausalLM } from "../models/index.ts";
import { type CompiledFunction, compile, type Tensor, tensor } from "../tensor/index.ts";

/** Texts of a decoder that run from their beginning for every token: what a search with a cache has to agree with. */
export class PlainRows {
  private readonly start: readonly number[];
  private rows: number[][] = [];
  private readonly run: CompiledFunction<[ids: Tensor<"i32">], ReturnType<CausalLM["forward"]>>;

  private readonly maxLength: number;

  constructor(model: CausalLM, start: readonly number[], maxLength: number) {
    this.start = start;
    this.maxLength = maxLength;
    this.run = compile((inputIds: Tensor<"i32">) => model.forward({ inputIds }));
  }

  beams(numBeams: number): BeamRunner {
    return {
      begin: async () => {
        this.rows = Array.from({ length: numBeams }, () => [...this.start]);
        return (await this.states(this.rows.slice(0, 1)))[0].logits;
      },
      advance: async (tokens, parents) => {
        this.rows = tokens.map((id, row) => [...this.rows[parents[row]], id]);
        return (await this.states(this.rows)).map(({ logits }) => logits);
      },
    };
  }

  contrastive(): ContrastiveRunner {
    return {
      begin: async () => {
        this.rows = [[...this.start]];
        return (await this.states(this.rows))[0];
      },
      advance: async (candidates, parent) => {
        this.rows = candidates.map((id) => [...this.rows[parent], id]);
        return (await this.states(this.rows)).map(({ logits, hidden }) => ({
          logits,
          hidden: hidden[hidden.length - 1],
        }));
      },
    };
  }

  /** The logits after each row, and the states of its tokens. */
  private async states(
    rows: readonly (readonly number[])[],
  ): Promise<{ logits: Float32Array; hidden: Float32Array[] }[]> {
    const { maxLength } = this;
    // what follows a token changes nothing of it, so that all lengths are one graph
    const ids = new Int32Array(rows.length * maxLength);
    for (const [row, text] of rows.entries()) ids.set(text, row * maxLength);
    const { logits, lastHiddenState } = await this.run(tensor(ids, { shape: [rows.length, maxLength] }));
    const [vocabSize, hiddenSize] = [logits.shape[2] as number, lastHiddenState.shape[2] as number];
    const [scores, states] = [await logits.read(), await lastHiddenState.read()];
    for (const output of [logits, lastHiddenState]) output.dispose();
    return rows.map(({ length }, row) => {
      const first = row * maxLength;
      const last = first + length - 1;
      const hiddenOf = (place: number) => states.slice(place * hiddenSize, (place + 1) * hiddenSize);
      return {
        logits: scores.slice(last * vocabSize, (last + 1) * vocabSize),
        hidden: Array.from({ length }, (_, i) => hiddenOf(first + i)),
      };
    });
  }

  dispose(): void {
    this.run.dispose();
  }
}
