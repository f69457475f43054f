import { nextTurn } from "../../base/index.ts";
import type { CausalLM, TextPrefix } from "../../models/index.ts";
import type { AdapterPool, PooledAdapter } from "../../peft/index.ts";
import { type CompiledFunction, compile, type Device, type SymbolicSizes, type Tensor } from "../../tensor/index.ts";
import { type CausalContext, causalDecoder, embeddedSizes, positionsOf, textSizes } from "../causal-decoder.ts";
import { i32 } from "../decoder-runner.ts";
import { allLogits, lastLogits } from "../decoder-step.ts";
import type { SlotCache, SlotWindow } from "./slot-cache.ts";

/**
 * ids [R, T]; what the decoder looks at; lengths [R] and total [1], see RoomCache; the slots of the adapters of rows,
 * [R], or null for the one that is shown.
 */
type StepInputs = [
  ids: Tensor<"i32">,
  context: CausalContext,
  lengths: Tensor<"i32">,
  total: Tensor<"i32">,
  adapters: Tensor<"i32"> | null,
];
type Step = CompiledFunction<StepInputs, Tensor<"f32">>;

/** Of one text with one token, in place of which graphs of other sizes may have more. */
const exampleInputs: StepInputs = [
  i32([0], [1, 1]),
  { positions: positionsOf([0], 1), embeddings: null },
  i32([0], [1]),
  i32([1], [1]),
  null,
];

/** Tokens that are written one by one before a graph for them alone is compiled. */
const WORTH_A_GRAPH = 64;

/**
 * A step of one text with any number of new tokens, or with an embedded prompt of any length; of several texts with one
 * token each; and of one with tokens that were proposed, which gives the logits after each.
 */
interface Steps {
  anyLength: Step;
  /** Whose positions are [1, T]. */
  embedded: Step;
  /** Whose positions are [3, 1, T]. */
  embeddedInThree: Step;
  several: Step;
  proposed: Step;
  /** Of one text with one new token: some hundredths faster than `anyLength`, which is used until this is ready. */
  oneToken: { step: Step; runs: number; isReady: boolean };
}

/** The compiled steps of a model over a cache of slots: without adapters, and with those of a pool. */
export class SlotSteps {
  private readonly model: CausalLM;
  private readonly cache: SlotCache;
  private readonly options: { device: Device; adapters?: AdapterPool };
  private plain: Steps;
  private isDisposed = false;
  /** As the pool lays them out. */
  private adapted: (Steps & { layout: number }) | undefined;
  /** Of any number of tokens behind the states of an adapter, which is what they begin with. */
  private readonly prefixed = new Map<PooledAdapter, Step>();

  constructor(model: CausalLM, cache: SlotCache, options: SlotSteps["options"]) {
    this.model = model;
    this.cache = cache;
    this.options = options;
    this.plain = this.compile();
  }

  /** @param hasAdapters some text of the run has one: all of them the one that the pool shows, or each its own */
  of(hasAdapters: boolean): Steps {
    const { adapters } = this.options;
    if (!hasAdapters || !adapters) return this.plain;
    if (this.adapted?.layout !== adapters.layout) {
      disposeOf(this.adapted);
      this.adapted = { layout: adapters.layout, ...this.compile(adapters) };
    }
    return this.adapted;
  }

  /**
   * The step that reads the states of an adapter before a text, and tokens behind them. Undefined where it has none, or
   * they are all before `start`.
   */
  behind(adapter: PooledAdapter | undefined, start: number): Step | undefined {
    if (!adapter?.prefix || start >= adapter.prefix.length) return undefined;
    for (const [other, step] of this.prefixed)
      if (!this.options.adapters?.has(other)) {
        step.dispose();
        this.prefixed.delete(other);
      }
    const step = this.prefixed.get(adapter) ?? this.compile(undefined, adapter.prefix).anyLength;
    this.prefixed.set(adapter, step);
    return step;
  }

  /**
   * Compiles the steps of texts without adapters. @param texts that are written together; none: only what the first
   * token of a text needs
   */
  async prepare(texts: number): Promise<void> {
    if (this.isDisposed) return;
    const { plain } = this;
    const isCurrent = () => this.plain === plain && !this.isDisposed;
    const compiled = [plain.anyLength.prepare(...exampleInputs)];
    await nextTurn(); // tracing takes some hundredths of a second
    if (texts > 0 && isCurrent()) compiled.push(prepareOneToken(plain));
    await nextTurn();
    if (texts > 1 && isCurrent()) compiled.push(plain.several.prepare(...exampleInputs));
    await Promise.all(compiled);
  }

  /** The step of one text with so many new tokens. */
  ofOne({ oneToken, anyLength }: Steps, tokens: number): Step {
    if (tokens > 1) return anyLength;
    if (++oneToken.runs === WORTH_A_GRAPH) prepareOneToken({ oneToken }).catch(() => {}); // then it is not used
    return oneToken.isReady ? oneToken.step : anyLength;
  }

  private compile(adapters?: AdapterPool, prefix?: TextPrefix): Steps {
    const { cache, options } = this;
    const decoder = causalDecoder(this.model, undefined, prefix);
    const stepOver = (window: SlotWindow, symbolicSizes?: SymbolicSizes, logitsOf = lastLogits<CausalContext>) => {
      const step = (...[ids, context, lengths, total, slots]: StepInputs): Tensor<"f32"> => {
        const open = window.open(lengths, total);
        const trace = () => logitsOf(decoder, ids, open, context);
        const traceAdapted = () => (slots ? adapters?.withRows(slots, trace) : adapters?.withShown(trace));
        const logits = traceAdapted() ?? trace();
        window.close(open);
        return logits;
      };
      // a run writes its own positions, and those before them stay as they were, also when it fails or is ended
      // and who gets the logits picks a token before the next run
      const settings = { keepsPartialState: true, reusesResults: true, device: options.device, symbolicSizes };
      return compile(step as never, settings) as Step;
    };
    const anyLength = [[null, "T"], ...textSizes];
    return {
      oneToken: { step: stepOver(cache.one), runs: 0, isReady: false },
      embedded: stepOver(cache.one, [[null, "T"], ...embeddedSizes(2)]),
      embeddedInThree: stepOver(cache.one, [[null, "T"], ...embeddedSizes(3)]),
      anyLength: stepOver(cache.one, anyLength),
      several: stepOver(cache.several, [["R", null], ["R", null], ["R"], [null], ["R"]]),
      proposed: stepOver(cache.one, anyLength, allLogits),
    };
  }

  /** Has the model traced anew: its layers were exchanged. */
  retrace(): void {
    this.disposeAll();
    this.plain = this.compile();
  }

  dispose(): void {
    this.isDisposed = true;
    this.disposeAll();
  }

  private disposeAll(): void {
    disposeOf(this.plain);
    disposeOf(this.adapted);
    this.adapted = undefined;
    for (const step of this.prefixed.values()) step.dispose();
    this.prefixed.clear();
  }
}

async function prepareOneToken({ oneToken }: Pick<Steps, "oneToken">): Promise<void> {
  await oneToken.step.prepare(...exampleInputs);
  oneToken.isReady = true;
}

function disposeOf(steps: Steps | undefined): void {
  if (!steps) return;
  const { oneToken, anyLength, embedded, embeddedInThree, several, proposed } = steps;
  for (const step of [oneToken.step, anyLength, embedded, embeddedInThree, several, proposed]) step.dispose();
}
