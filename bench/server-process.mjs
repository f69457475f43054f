// @ts-check
/** A `kindling serve` process of the built program, and how its streams are read. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { benchFolder } from "./torch-python.mjs";

export const program = join(benchFolder, "..", "dist", "cli", "main.js");

/**
 * Starts a server, and waits until it says that it is ready.
 * @param {readonly string[]} args of `kindling serve`
 * @param {readonly string[]} [nodeArgs]
 */
export async function startServer(args, nodeArgs = []) {
  const child = spawn(process.execPath, [...nodeArgs, program, "serve", ...args, "--port", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /^serving .* at (http\S+)/.exec(line)?.[1];
    if (!url) continue;
    child.stdout.resume();
    const close = async () => {
      child.kill();
      await ended;
    };
    return { url, pid: /** @type {number} */ (child.pid), close };
  }
  throw new Error(`the server ended with ${await ended}`);
}

/**
 * A greedy text as server-sent events: gives something for each of its pieces.
 * @param {string} url of the server
 * @param {readonly number[]} prompt
 * @param {number} tokens
 */
export async function* streamed(url, prompt, tokens) {
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt, max_tokens: tokens, temperature: 0, ignore_eos: true, stream: true }),
  });
  if (!answer.ok || !answer.body) throw new Error(`${answer.status}: ${await answer.text()}`);
  const decoder = new TextDecoder();
  for await (const bytes of answer.body)
    for (const _ of decoder.decode(bytes, { stream: true }).matchAll(/"text":"[^"]/g)) yield;
}
