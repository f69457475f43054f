/** The examples of a config. */
import { type ExampleFormat, type Examples, type Rows, readExamples } from "../../data/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext, PreparedMethod } from "../method.ts";
import { columnsOf, openData } from "./datasets.ts";

/** Examples to learn from and to measure on, and what a prepared method says of their files. */
export interface OpenedExamples<E> extends Pick<PreparedMethod<never>, "fingerprint" | "close"> {
  train: Rows<E>;
  validation: Rows<E> | undefined;
}

/**
 * What is made of the rows of a config as examples of a format: their files are closed where that fails, and otherwise
 * by it.
 * @throws as `openData`, `readExamples` and `make`
 */
export async function withExamples<F extends ExampleFormat, T>(
  { data }: Pick<SharedConfig, "data">,
  format: F,
  context: MethodContext,
  make: (opened: OpenedExamples<Examples[F]>) => Promise<T>,
): Promise<T> {
  const { train, validation, badRows, close } = await openData(data, context);
  const columns = columnsOf(data);
  const options = { format, ...(columns && { columns }), badRows };
  return make({
    train: (await readExamples(train, options)).examples,
    validation: validation && (await readExamples(validation, options)).examples,
    fingerprint: { data: (await train.fingerprint()) ?? "none" },
    close,
  });
}
