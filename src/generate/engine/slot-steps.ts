import type { CausalLM } from "../../models/index.ts";
import type { AdapterPool } from "../../peft/index.ts";
import { type CompiledFunction, compile, type Device, type SymbolicSizes, type Tensor } from "../../tensor/index.ts";
import { type CausalContext, causalDecoder, embeddedSizes, textSizes } from "../causal-decoder.ts";
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

/**
 * A step of one text with one new token, with any number of them, or with an embedded prompt of any length; of several
 * texts with one token each; and of one with tokens that were proposed, which gives the logits after each.
 */
interface Steps {
  oneToken: Step;
  anyLength: Step;
  /** Whose positions are [1, T]. */
  embedded: Step;
  /** Whose positions are [3, 1, T]. */
  embeddedInThree: Step;
  several: Step;
  proposed: Step;
}

/** The compiled steps of a model over a cache of slots: without adapters, and with those of a pool. */
export class SlotSteps {
  private readonly model: CausalLM;
  private readonly cache: SlotCache;
  private readonly options: { device: Device; adapters?: AdapterPool };
  private plain: Steps;
  /** As the pool lays them out. */
  private adapted: (Steps & { layout: number }) | undefined;

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

  private compile(adapters?: AdapterPool): Steps {
    const { cache, options } = this;
    const decoder = causalDecoder(this.model);
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
      oneToken: stepOver(cache.one),
      embedded: stepOver(cache.one, [[null, "T"], ...embeddedSizes(2)]),
      embeddedInThree: stepOver(cache.one, [[null, "T"], ...embeddedSizes(3)]),
      anyLength: stepOver(cache.one, anyLength),
      several: stepOver(cache.several, [["R", null], ["R", null], ["R"], [null], ["R"]]),
      proposed: stepOver(cache.one, anyLength, allLogits),
    };
  }

  /** Has the model traced anew: its layers were exchanged. */
  retrace(): void {
    this.dispose();
    this.plain = this.compile();
  }

  dispose(): void {
    disposeOf(this.plain);
    disposeOf(this.adapted);
    this.adapted = undefined;
  }
}

function disposeOf(steps: Steps | undefined): void {
  if (!steps) return;
  const { oneToken, anyLength, embedded, embeddedInThree, several, proposed } = steps;
  for (const step of [oneToken, anyLength, embedded, embeddedInThree, several, proposed]) step.dispose();
}
