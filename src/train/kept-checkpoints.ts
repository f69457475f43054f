/** Checkpoints that stay beside the last one: the best, and some more. */
import { copyFile, link, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder, readJson, withWriteErrors, writeFolderAtomic, writeJson } from "../files/index.ts";
import type { BestOptions } from "./best.ts";

/** Folder of the best checkpoint, in that of the run. */
export const BEST = "best";
/** Folder of the other checkpoints that are kept. */
const KEPT = "checkpoints";
const INDEX = "kept.json";

interface Kept {
  step: number;
  /** What is monitored, or null where nothing was measured. */
  value: number | null;
  bytes: number;
}

/**
 * Puts the files of a complete checkpoint into another folder too, in no more room where the disk can give a file two
 * names: files of checkpoints are never changed, only replaced.
 */
export async function keepCheckpoint(checkpoint: string, target: string): Promise<void> {
  await writeFolderAtomic(target, async (temporary) => {
    for (const name of await readdir(checkpoint)) {
      const [from, to] = [join(checkpoint, name), join(temporary, name)];
      await link(from, to).catch(() => copyFile(from, to));
    }
  });
}

/** checkpoints/: a folder for each step that is kept, and a list of them. */
export class KeptCheckpoints {
  private readonly folder: string;
  private readonly options: BestOptions;
  private readonly isBetter: (value: number, than: number) => boolean;

  constructor(run: string, options: BestOptions, isBetter: (value: number, than: number) => boolean) {
    this.folder = join(run, KEPT);
    this.options = options;
    this.isBetter = isBetter;
  }

  /**
   * Keeps a checkpoint, and lets the worst go: those beyond `keepCheckpoints`, and beyond the size. The new one is
   * written before any other is removed.
   */
  async keep(checkpoint: string, step: number, value: number | null): Promise<void> {
    const { keepCheckpoints = 0, maxCheckpointBytes = Number.POSITIVE_INFINITY } = this.options;
    if (keepCheckpoints === 0) return;
    const bytes = await folderBytes(checkpoint);
    const others = (await this.list()).filter((kept) => kept.step !== step);
    const ranked = [...others, { step, value, bytes }].sort((a, b) => this.compare(a, b));
    let total = 0;
    const staying = ranked.filter((kept, rank) => {
      if (rank >= keepCheckpoints || total + kept.bytes > maxCheckpointBytes) return false;
      total += kept.bytes;
      return true;
    });
    if (staying.some((kept) => kept.step === step)) await keepCheckpoint(checkpoint, this.pathOf(step));
    await makeFolder(this.folder);
    await writeJson(join(this.folder, INDEX), { checkpoints: staying });
    const names = new Set([INDEX, ...staying.map((kept) => nameOf(kept.step))]);
    await withWriteErrors(this.folder, async () => {
      for (const name of await readdir(this.folder))
        if (/^step-\d+(\.tmp|\.old)?$/.test(name) && !names.has(name))
          await rm(join(this.folder, name), { recursive: true, force: true });
    });
  }

  /** The best first; without measurements the last. */
  private compare(a: Kept, b: Kept): number {
    if (a.value === null || b.value === null || a.value === b.value) return b.step - a.step;
    return this.isBetter(a.value, b.value) ? -1 : 1;
  }

  private pathOf(step: number): string {
    return join(this.folder, nameOf(step));
  }

  private async list(): Promise<Kept[]> {
    const json = await readJson(join(this.folder, INDEX)).catch(() => ({ checkpoints: [] }));
    return Array.isArray(json.checkpoints) ? (json.checkpoints as Kept[]) : [];
  }
}

const nameOf = (step: number) => `step-${String(step).padStart(8, "0")}`;

async function folderBytes(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((a, b) => a + b, 0);
}
