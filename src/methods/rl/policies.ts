/** What a policy and its reference say of completions, read on the host. */
import type { CausalLM } from "../../models/index.ts";
import type { AppliedAdapter } from "../../peft/index.ts";
import { type CompiledFunction, compile, type Tensor } from "../../tensor/index.ts";
import {
  type CompletionTensors,
  completionTensors,
  type HostCompletions,
  tokenStatistics,
} from "./padded-completions.ts";

type Inputs = Pick<CompletionTensors, "inputIds" | "attentionMask" | "places" | "targets">;
/** Numbers of tokens by name, [N, C] each. */
type Outputs = Readonly<Record<string, Tensor<"f32">>>;

/** Computes numbers of completions' tokens, which come to the host. */
export class TokenForward {
  private readonly compiled: CompiledFunction<[Inputs], Outputs>;

  /** @param trace what is computed, without dropout */
  constructor(trace: (batch: CompletionTensors) => Outputs) {
    this.compiled = compile(trace as never) as CompiledFunction<[Inputs], Outputs>;
  }

  /** @throws the signal's reason */
  async run(host: HostCompletions, signal?: AbortSignal): Promise<Record<string, number[]>> {
    const { inputIds, attentionMask, places, targets } = completionTensors(host);
    const outputs = await this.compiled.withSignal(signal)({ inputIds, attentionMask, places, targets });
    const numbers: Record<string, number[]> = {};
    for (const [name, output] of Object.entries(outputs)) {
      numbers[name] = Array.from(await output.read());
      output.dispose();
    }
    return numbers;
  }

  dispose(): void {
    this.compiled.dispose();
  }
}

/** What a policy is held near to: its model without the adapter, or as it was before training. */
export class ReferencePolicy {
  private readonly open: () => Promise<CausalLM>;
  private readonly temperature: number;
  /** Known before the first run. @default none, and the copy is opened */
  adapter: AppliedAdapter | undefined;
  private copy: CausalLM | undefined;
  private forward: TokenForward | undefined;

  /** @param open the model as it was before training */
  constructor(open: () => Promise<CausalLM>, temperature: number) {
    this.open = open;
    this.temperature = temperature;
  }

  /** Log probabilities of the tokens, [N, C]. */
  async logprobs(host: HostCompletions, signal?: AbortSignal): Promise<number[]> {
    this.forward ??= await this.prepare();
    return (await this.forward.run(host, signal)).logprobs;
  }

  private async prepare(): Promise<TokenForward> {
    const { adapter, temperature } = this;
    const traceOf = (model: CausalLM) => (batch: CompletionTensors) => {
      const { logprobs } = tokenStatistics(model, batch, { temperature });
      return { logprobs };
    };
    if (adapter) return new TokenForward((batch) => withoutAdapter(adapter, traceOf(adapter.model as CausalLM), batch));
    this.copy = await this.open();
    return new TokenForward(traceOf(this.copy));
  }

  dispose(): void {
    this.forward?.dispose();
    this.copy?.dispose();
  }
}

/** Traces without an adapter, which is back before anything else sees the model: tracing is synchronous. */
function withoutAdapter<R>(
  adapter: AppliedAdapter,
  trace: (batch: CompletionTensors) => R,
  batch: CompletionTensors,
): R {
  adapter.remove();
  try {
    return trace(batch);
  } finally {
    adapter.activate();
  }
}
