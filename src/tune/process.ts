import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { known, onAbort } from "../base/index.ts";
import { makeFolder, withWriteErrors } from "../files/index.ts";
import type { Space } from "./space.ts";
import type { RunTrial, Trial, TrialResult } from "./trial.ts";

/** How the process of a trial is started. */
export interface ProcessOptions {
  /** Added to the environment of this process. @default nothing */
  env?: Readonly<Record<string, string>>;
  /** Options of Node, such as ["--import", "tsx"] for modules in TypeScript. @default none */
  execArgv?: readonly string[];
  /** Milliseconds that a trial may take to end when it is told to; then it is killed. @default 5000 */
  graceMs?: number;
}

export type Task = { type: "module"; url: string } | { type: "command"; words: readonly string[]; cwd: string };

/** What the process of a trial has come to. */
export type TaskEnd =
  | { type: "result"; result: number | TrialResult }
  | { type: "pruned" }
  | { type: "exit"; code: number | null; signal: NodeJS.Signals | null };

type ChildMessage =
  | TaskEnd
  | { type: "error"; text: string }
  | { type: "report"; id: number; step: number; value: number };

const GRACE_MS = 5000;
/** So much of what a failed trial wrote is in its error. */
const TAIL_CHARACTERS = 500;
/** Variables that libraries take their number of threads from. */
const threadVariables = [
  "KINDLING_THREADS",
  "OMP_NUM_THREADS",
  "OPENBLAS_NUM_THREADS",
  "MKL_NUM_THREADS",
  "RAYON_NUM_THREADS",
];

/** The file in a trial's folder that has what its process wrote. */
export const OUTPUT_FILE = "output.log";

/**
 * Trials in processes of their own: each imports a module and calls its default export, a `RunTrial`. A process that
 * dies is a failed trial; all that it started ends with it, and all with this process. What it writes is in
 * output.log of the trial's folder.
 * @param module of JavaScript; of TypeScript where Node reads it, or with `execArgv`
 */
export function moduleRun<S extends Space = Space>(module: string | URL, options: ProcessOptions = {}): RunTrial<S> {
  known("moduleRun", options, { env: true, execArgv: true, graceMs: true });
  const url = (module instanceof URL ? module : pathToFileURL(module)).href;
  return async (trial) => {
    const end = await runTask(trial as unknown as Trial, { type: "module", url }, options);
    if (end.type === "pruned") trial.prune();
    if (end.type === "result") return end.result;
    throw new Error(`the process of the trial ended with ${end.type}`);
  };
}

/**
 * Runs a task in a process that leads a group, and resolves when nothing of it is left.
 * @throws what the task throws, an error for a process that dies, the reason of the trial's signal
 */
export async function runTask(
  trial: Trial,
  task: Task,
  options: ProcessOptions,
  signal = trial.signal,
): Promise<TaskEnd> {
  const { graceMs = GRACE_MS } = options;
  const child = await startChild(trial, options);
  if (child.pid === undefined) throw new Error("the process of the trial could not be started");
  const exited = once(child, "exit").catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  const killLater = () => {
    timer ??= setTimeout(() => killGroup(child), graceMs);
  };
  const forget = onAbort(signal, () => {
    tell(child, { type: "abort", reason: String(signal.reason) });
    killLater();
  });
  try {
    if (signal.aborted) throw signal.reason;
    const ended = endOf(child, trial);
    tell(child, task.type === "module" ? { ...task, facts: factsOf(trial) } : task);
    return await ended;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    forget();
    // told so, it kills its group; one that is gone already may have left some of it
    if (child.connected) child.disconnect();
    else killGroup(child);
    killLater();
    await exited;
    clearTimeout(timer);
  }
}

async function startChild(trial: Trial, { env, execArgv = [] }: ProcessOptions): Promise<ChildProcess> {
  const path = join(trial.folder, OUTPUT_FILE);
  return withWriteErrors(path, async () => {
    await makeFolder(trial.folder);
    const output = await open(path, "a");
    try {
      const threads = Object.fromEntries(threadVariables.map((name) => [name, String(trial.threads)]));
      const child = spawn(process.execPath, [...execArgv, fileURLToPath(new URL("./child.mjs", import.meta.url))], {
        detached: process.platform !== "win32", // it leads a group; a Ctrl-C in the terminal is for this process
        windowsHide: true,
        env: { ...process.env, ...threads, ...env },
        stdio: ["ignore", output.fd, output.fd, "ipc"],
        serialization: "advanced",
      });
      child.on("error", () => {}); // of messages to one that has gone
      return child;
    } finally {
      await output.close();
    }
  });
}

const factsOf = ({ number, values, budget, continues, attempt, threads, folder }: Trial) => ({
  ...{ number, values, attempt, threads, folder },
  ...(budget !== undefined && { budget }),
  ...(continues !== undefined && { continues }),
});

const tell = (child: ChildProcess, message: object): void => {
  if (child.connected) child.send(message, () => {});
};

/** Waits for the last message of a process, and answers its reports. */
function endOf(child: ChildProcess, trial: Trial): Promise<TaskEnd> {
  return new Promise((resolve, reject) => {
    child.on("message", (message: ChildMessage) => {
      if (message.type === "report") void answer(child, trial, message);
      else if (message.type === "error") reject(errorOf(message.text));
      else resolve(message);
    });
    child.once("exit", (code, signal) => {
      const how = signal ? `was killed by ${signal}` : `ended with code ${code}`;
      void outputTail(trial.folder).then((tail) => reject(new Error(`the process of the trial ${how}${tail}`)));
    });
  });
}

async function answer(
  child: ChildProcess,
  trial: Trial,
  { id, step, value }: { id: number; step: number; value: number },
): Promise<void> {
  const error = await trial.report(step, value).then(
    () => undefined,
    (cause) => (cause instanceof Error ? cause.message : String(cause)),
  );
  tell(child, { type: "answer", id, shouldPrune: trial.shouldPrune, ...(error !== undefined && { error }) });
}

/** An error by what its process said of it: "TypeError: x is not a function". */
function errorOf(text: string): Error {
  const [, name, message] = /^(\w*Error): ([\s\S]*)$/.exec(text) ?? [];
  return Object.assign(new Error(message ?? text), name && { name });
}

/** What a trial wrote last, as the end of an error's message. */
export async function outputTail(folder: string): Promise<string> {
  const text = await readFile(join(folder, OUTPUT_FILE), "utf8").catch(() => "");
  const tail = text.trim().slice(-TAIL_CHARACTERS);
  return tail === "" ? "" : `; its last output: ${tail}`;
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return; // it never started
  if (process.platform === "win32") {
    spawn("taskkill", ["/pid", String(pid), "/T", "/F"], { stdio: "ignore", windowsHide: true }).on("error", () => {});
    return;
  }
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // nothing of it is left
  }
}
