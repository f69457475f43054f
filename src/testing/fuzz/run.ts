/** Fuzzing with a watch: a process that hangs or ends is a fault, and its input is kept. */
import { fork } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** By the clock; the child itself counts time of the processor. */
const HANG_MS = 60_000;
/** After so many faults of a target there is enough to do. */
const MOST_FAULTS = 5;

interface Message {
  begun?: number;
  fault?: string;
  i?: number;
  ended?: boolean;
}

/** The faults of a target, in words, with the paths of their inputs. @param child the bundled child.ts */
export async function fuzz(child: string, golden: string, target: string): Promise<string[]> {
  const scratch = mkdtempSync(join(tmpdir(), `kindling-fuzz-${target}-`));
  const faults: string[] = [];
  try {
    for (let next: number | undefined = 0; next !== undefined && faults.length < MOST_FAULTS; )
      next = await runFrom(child, [golden, scratch, target], next, faults);
  } finally {
    rmSync(scratch, { recursive: true });
  }
  return faults;
}

/** Runs inputs from one on; gives the one after a crash. */
function runFrom(
  child: string,
  [golden, scratch, target]: readonly [string, string, string],
  first: number,
  faults: string[],
): Promise<number | undefined> {
  return new Promise((done) => {
    const running = fork(child, [golden, scratch, target, String(first)], {
      execArgv: ["--max-old-space-size=1500"],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let [last, hasEnded, isStuck] = [first, false, false];
    let said = "";
    running.stderr?.on("data", (part) => {
      said = (said + part).slice(-2000);
    });
    const keep = (i: number, fault: string) => {
      const path = join(tmpdir(), `kindling-fuzz-${target}-${i}`);
      copyFileSync(join(scratch, "input"), path);
      faults.push(`${target}, input ${i}, kept as ${path}: ${fault}`);
      if (faults.length >= MOST_FAULTS) running.kill("SIGKILL");
    };
    const watch = () =>
      setTimeout(() => {
        isStuck = true;
        running.kill("SIGKILL");
      }, HANG_MS);
    let timer = watch();
    running.on("message", ({ begun, fault, i, ended }: Message) => {
      clearTimeout(timer);
      timer = watch();
      if (begun !== undefined) last = begun;
      if (fault !== undefined && i !== undefined) keep(i, fault);
      if (ended) hasEnded = true;
    });
    running.on("exit", (code, signal) => {
      clearTimeout(timer);
      if (hasEnded || faults.length >= MOST_FAULTS) return done(undefined);
      keep(
        last,
        isStuck
          ? `did not come back in ${HANG_MS / 1000} s`
          : `ended the process: code ${code}, signal ${signal}, ${said}`,
      );
      done(last + 1);
    });
  });
}
