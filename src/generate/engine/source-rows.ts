import type { EncoderDecoder } from "../../models/index.ts";
import { type CompiledFunction, compile } from "../../tensor/index.ts";
import {
  type EncodedSource,
  type SequenceSource,
  type SourceContext,
  sourceDecoder,
  stackSources,
} from "../encoded-source.ts";
import { DecoderRows, type DecoderRowsOptions } from "./decoder-rows.ts";
import type { Sequence } from "./sequence.ts";

/** An encoder-decoder by rows: what the encoder gave for the texts of a run is put together when others join them. */
export class SourceRows extends DecoderRows<SourceContext> {
  private readonly stack: CompiledFunction<[readonly SourceContext[]], SourceContext>;
  private stacked: { sources: readonly EncodedSource[]; context: SourceContext } | undefined;

  constructor(model: EncoderDecoder, options: DecoderRowsOptions) {
    super(sourceDecoder(model), options);
    this.stack = compile(stackSources as never) as typeof this.stack;
  }

  protected async begin({ context, source }: Sequence, length: number, signal?: AbortSignal): Promise<Float32Array> {
    const encoded = await (source as SequenceSource).read(signal);
    this.requireSameWeights();
    const tokens = [context.slice(0, length)];
    const looked = encoded.context;
    return (await this.single.run({ tokens, starts: [0], context: looked, signal }))[0];
  }

  protected contextOf({ source }: Sequence): SourceContext {
    const encoded = source?.encoded as EncodedSource;
    return encoded.context;
  }

  protected async contextOfRows(holders: readonly (Sequence | undefined)[]): Promise<SourceContext> {
    const present = holders.map((holder) => holder?.source?.encoded);
    const { stacked } = this;
    const isSame =
      stacked?.sources.length === present.length &&
      present.every((encoded, row) => encoded === undefined || encoded === stacked.sources[row]);
    if (isSame) return stacked.context;
    this.disposeStacked();
    const any = present.find((encoded) => encoded !== undefined) as EncodedSource; // nobody asks for those rows
    const sources = present.map((encoded) => encoded ?? any);
    const context = await this.stack(sources.map(({ context }) => context) as never);
    this.stacked = { sources, context };
    return context;
  }

  /** The next text is of another source. */
  protected keep(): void {}

  protected forget(): void {}

  private disposeStacked(): void {
    for (const { k, v } of this.stacked?.context.keysAndValues ?? []) {
      k.dispose();
      v.dispose();
    }
    this.stacked?.context.mask?.dispose();
    this.stacked = undefined;
  }

  override dispose(): void {
    super.dispose();
    this.disposeStacked();
    this.stack.dispose();
  }
}
