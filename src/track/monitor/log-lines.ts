import { open, stat } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import { withReadErrors } from "../../files/index.ts";

/** How a log is read. */
export interface LogOptions {
  /** Goes on when the file grows, also in a new file of its name. @default false */
  follow?: boolean;
  /** Ends the reading. */
  signal?: AbortSignal;
  /** Time between looks at a file that has not grown. @default 500 */
  pollMs?: number;
}

const CHUNK_BYTES = 1 << 16;

/** The lines of a file, from its beginning. @throws DataError when it cannot be read */
export async function* logLines(
  path: string,
  { follow = false, signal, pollMs = 500 }: LogOptions = {},
): AsyncGenerator<string, void, void> {
  const openFile = () => withReadErrors(path, "a log", () => open(path, "r"));
  let file = await openFile();
  let decoder = new StringDecoder("utf8");
  let rest = "";
  let position = 0;
  const buffer = Buffer.alloc(CHUNK_BYTES);
  try {
    while (!signal?.aborted) {
      const { bytesRead } = await withReadErrors(path, "a log", () => file.read(buffer, 0, CHUNK_BYTES, position));
      position += bytesRead;
      const lines = (rest + decoder.write(buffer.subarray(0, bytesRead))).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
      if (bytesRead > 0) continue;
      if (!follow) break;
      await sleep(pollMs, undefined, { signal }).catch(() => {}); // ended by the signal
      const { ino } = await file.stat();
      const now = await stat(path).catch(() => undefined); // it is moved away, and comes again
      if (!now || (now.ino === ino && now.size >= position)) continue;
      await file.close();
      file = await openFile();
      [decoder, rest, position] = [new StringDecoder("utf8"), "", 0];
    }
    if (rest !== "" && !signal?.aborted) yield rest;
  } finally {
    await file.close();
  }
}
