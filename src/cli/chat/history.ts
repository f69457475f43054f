import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { ownerModes } from "../../files/index.ts";

/** Lines that the arrow keys reach. */
const MOST_LINES = 1000;
/** A file of more is cut down to those. */
const MOST_KEPT = 4 * MOST_LINES;

/** Where lines are kept, or undefined where KINDLING_HISTORY says "off". */
export function historyPath(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const { KINDLING_HISTORY, XDG_STATE_HOME } = environment;
  if (KINDLING_HISTORY === "off") return undefined;
  return KINDLING_HISTORY || join(XDG_STATE_HOME || join(homedir(), ".local", "state"), "kindling", "chat-history");
}

/**
 * What was typed, kept from run to run in a file that only its owner reads: a line each, several programs at a time. A
 * talk goes on without it where it cannot be read or written.
 */
export class History {
  private readonly path: string | undefined;
  /** The latest first, as readline has them. */
  readonly lines: string[] = [];

  /** @param path @default lines are not kept */
  constructor(path: string | undefined) {
    this.path = path;
    if (path === undefined) return;
    try {
      const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
      this.lines = [...new Set(lines.slice(-MOST_LINES).reverse())];
      if (lines.length > MOST_KEPT) shorten(path, lines.slice(-MOST_LINES));
    } catch {
      // none yet
    }
  }

  add(line: string): void {
    if (this.path === undefined || line.trim() === "") return;
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: ownerModes.folder });
      appendFileSync(this.path, `${line}\n`, { mode: ownerModes.file });
    } catch {
      // a disk that is full or read-only
    }
  }
}

function shorten(path: string, lines: readonly string[]): void {
  const temporary = `${path}.tmp-${process.pid}`;
  writeFileSync(temporary, `${lines.join("\n")}\n`, { mode: ownerModes.file });
  renameSync(temporary, path);
}
