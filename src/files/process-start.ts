import { readFile, readFileSync, runProgram } from "#system";

/** Clocks and the commands below agree within this; no system gives a process id out again so soon. */
const TOLERANCE_SECONDS = 3;
const DAY_SECONDS = 86_400;

/**
 * When a process began, by which it is told from a later one of the same id. "gone": there is none; undefined: the
 * system does not say.
 */
export type ProcessStart = string | "gone" | undefined;

/** When this process began, in the form of `processStart`. */
export function startOfThisProcess(): string {
  if (process.platform === "linux") return linuxStart(readFileSync("/proc/self/stat", "utf8"), bootId()) as string;
  return String(Math.round(Date.now() / 1000 - process.uptime()));
}

/** When the process with this id began. */
export async function processStart(pid: number): Promise<ProcessStart> {
  try {
    process.kill(pid, 0);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ESRCH") return "gone";
  }
  try {
    if (process.platform === "linux") return linuxStart(await readFile(`/proc/${pid}/stat`, "utf8"), bootId());
    if (process.platform === "win32") return windowsStart(pid);
    const { stdout } = await runProgram("ps", ["-o", "etime=", "-p", String(pid)], {
      env: { ...process.env, LC_ALL: "C" },
    });
    return String(Math.round(Date.now() / 1000 - secondsOfElapsed(stdout)));
  } catch {
    return undefined;
  }
}

/** Whether two starts are the same process's. */
export function isSameStart(a: string, b: string): boolean {
  return process.platform === "linux" ? a === b : Math.abs(Number(a) - Number(b)) <= TOLERANCE_SECONDS;
}

const bootId = () => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8);

/**
 * Ticks from boot to the start (field 22 of proc(5)'s stat), and the boot. The name in field 2 may hold spaces and
 * parentheses.
 */
export function linuxStart(stat: string, boot: string): ProcessStart {
  const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const isDead = state === "Z" || state === "X"; // ended, but nobody asked for its exit code yet
  return isDead ? "gone" : `${rest[18]}.${boot}`;
}

/** Seconds of ps's [[days-]hours:]minutes:seconds. */
export function secondsOfElapsed(elapsed: string): number {
  const [clock, days = "0"] = elapsed.trim().split("-").reverse();
  return clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0) + Number(days) * DAY_SECONDS;
}

async function windowsStart(pid: number): Promise<ProcessStart> {
  const ask = `[DateTimeOffset]::new((Get-Process -Id ${pid}).StartTime).ToUnixTimeSeconds()`;
  const { stdout } = await runProgram("powershell", ["-NoProfile", "-NonInteractive", "-Command", ask]);
  return stdout.trim() || undefined;
}
