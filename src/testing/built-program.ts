/** What tests of the command line run, and what they train on. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The built program, as users run it; `npm test` builds it first. */
export const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** A text that a tiny model learns in seconds. */
export const TALE = "It was the best of times, it was the worst of times, it was the age of wisdom.\n".repeat(120);

/** Options of a model that trains in seconds. */
export const tinyModel = ["--width", "32", "--layers", "1", "--heads", "2", "--batch", "4"];
/** Options of one that reads characters. */
export const tinyCharacterModel = (contextLength: number) => {
  return ["--tokenizer", "char", "--context", String(contextLength), ...tinyModel];
};

/** What a program has written: to standard output, as errors, and both as they came. */
interface Written {
  output: string;
  errors: string;
  all: string;
}

interface RunOptions {
  /** Where it runs. */
  folder: string;
  /** @default the environment of the test */
  env?: NodeJS.ProcessEnv;
  /** What it reads. @default nothing */
  input?: string;
  /** Options of Node. @default none */
  node?: readonly string[];
  /** Called when it has written more. */
  onOutput?: (written: Written, child: ChildProcess) => void;
}

/** Runs the built program to its end. */
export function runProgram(
  args: readonly string[],
  { folder, env, input = "", node = [], onOutput = () => {} }: RunOptions,
): Promise<Written & { code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...node, program, ...args], { cwd: folder, env });
    child.stdin.end(input);
    const written: Written = { output: "", errors: "", all: "" };
    for (const [name, stream] of [["output", child.stdout] as const, ["errors", child.stderr] as const])
      stream.setEncoding("utf8").on("data", (text: string) => {
        written[name] += text;
        written.all += text;
        onOutput(written, child);
      });
    child.on("close", (code, signal) => resolve({ ...written, code, signal }));
  });
}
