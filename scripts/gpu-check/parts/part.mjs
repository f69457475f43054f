// @ts-check
/** What the parts share. A part reports as it goes: what it reported last is its result, also when it is killed. */

/** Sizes that take no time, to see that everything works. */
export const isSmallest = process.argv.includes("--smallest");

/** Where the part computes. */
export const provider = /** @type {"webgpu" | "cuda"} */ (
  process.argv.find((arg) => arg.startsWith("--provider="))?.slice("--provider=".length) ?? "webgpu"
);

/** Arguments of the part. */
export const args = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));

/** Lines on standard output that begin with this hold the result so far. */
export const MARK = "@result ";

/** @param {object} result the whole result so far */
export function report(result) {
  process.stdout.write(`${MARK}${JSON.stringify(result)}\n`);
}

/** Middle of a list. @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/**
 * What went wrong, in a line: of ONNX Runtime's messages what comes after their usual beginning. @param {unknown} cause
 */
export function textOf(cause) {
  const { received, message = String(cause) } = /** @type {{ received?: string, message?: string }} */ (cause);
  const text = (received ?? message).replace("Non-zero status code returned while running ", "");
  return text.split("\n")[0].slice(0, 250);
}

/** MiB of the card's memory that are in use, where nvidia-smi tells. @returns {Promise<number | undefined>} */
export async function cardMemory() {
  const { execFile } = await import("node:child_process");
  return new Promise((resolve) => {
    const query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];
    execFile("nvidia-smi", query, { timeout: 5000 }, (failure, output) =>
      resolve(failure ? undefined : Number(output.split("\n")[0])),
    );
  });
}
