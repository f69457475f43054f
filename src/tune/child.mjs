// @ts-check
/**
 * The process of a trial: it calls a function of a module, or starts a command and watches over it. It leads a group
 * of processes, and when it is done, or the process of the study has gone, however that happened, it kills the group,
 * itself included: nothing of a trial outlives it.
 */
import { spawn, spawnSync } from "node:child_process";

/** @typedef {{ type: "module", url: string, facts: Record<string, unknown> }} ModuleTask */
/** @typedef {{ type: "command", words: string[], cwd: string }} CommandTask */

/** What `trial.prune()` throws. */
class TrialPruned extends Error {}

const end = new AbortController();
/** @type {import("node:child_process").ChildProcess | undefined} */
let command;

/** @param {unknown} message */
const tell = (message) => process.send?.(message, undefined, undefined, () => {});

function killGroup() {
  if (process.platform === "win32") spawnSync("taskkill", ["/pid", String(process.pid), "/T", "/F"]);
  else process.kill(-process.pid, "SIGKILL");
}

/** @type {Map<number, (answer: { shouldPrune: boolean, error?: string }) => void>} */
const waiting = new Map();

/** @param {Record<string, unknown>} facts */
function trialOf(facts) {
  let shouldPrune = false;
  let reports = 0;
  return {
    ...facts,
    signal: end.signal,
    get shouldPrune() {
      return shouldPrune;
    },
    /** @param {number} step @param {number} value */
    async report(step, value) {
      end.signal.throwIfAborted();
      const id = reports++;
      /** @type {Promise<{ shouldPrune: boolean, error?: string }>} */
      const answered = new Promise((resolve) => waiting.set(id, resolve));
      tell({ type: "report", id, step, value });
      const answer = await answered;
      if (answer.error !== undefined) throw new Error(answer.error);
      shouldPrune = answer.shouldPrune;
    },
    prune() {
      throw new TrialPruned();
    },
  };
}

/** @param {ModuleTask} task */
async function runModule({ url, facts }) {
  try {
    const { default: run } = await import(url);
    if (typeof run !== "function") throw new TypeError(`${url} has no function as its default export`);
    tell({ type: "result", result: await run(trialOf(facts)) });
  } catch (error) {
    if (error instanceof TrialPruned) tell({ type: "pruned" });
    else tell({ type: "error", text: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
  }
}

/** @param {CommandTask} task */
function runCommand({ words: [program, ...args], cwd }) {
  command = spawn(program, args, { cwd, stdio: ["ignore", "inherit", "inherit"], windowsHide: true });
  command.once("error", (error) => tell({ type: "error", text: error.message }));
  command.once("exit", (code, signal) => tell({ type: "exit", code, signal }));
}

process.on("disconnect", killGroup);
// the study says when it ends
for (const name of /** @type {const} */ (["SIGTERM", "SIGINT", "SIGHUP"])) process.on(name, () => {});
process.on("message", (/** @type {any} */ message) => {
  if (message.type === "module") void runModule(message);
  else if (message.type === "command") runCommand(message);
  else if (message.type === "answer") {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  } else if (message.type === "abort") {
    end.abort(new Error(message.reason));
    command?.kill("SIGTERM");
  }
});
