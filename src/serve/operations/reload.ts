import { unwatchFile, watchFile } from "node:fs";
import { KindlingError } from "../../base/index.ts";
import type { AuditEvent } from "./audit.ts";

/** Something that is read from files, and may be read again. */
export interface Reloadable {
  /** The files, for messages. */
  files: readonly string[];
  /** Reads them, and takes what they say only when all of it is right. */
  load: () => Promise<void>;
  /** Whether a change of the files is enough, without being told. */
  isWatched: boolean;
}

export interface ReloaderOptions {
  parts: readonly Reloadable[];
  audit: (event: AuditEvent) => void;
  /** Gets a sentence on what was read, or why it was not, and whether it was. */
  onReload: (message: string, isRead: boolean) => void;
}

/** How often files are looked at: by their time and size, which also sees what is renamed and mounted over them. */
const WATCH_MS = 1000;

/** Reads files again while the server runs. One that is broken changes nothing, and that is said. */
export class Reloader {
  private readonly options: ReloaderOptions;
  private readonly watchers: { file: string; listener: () => void }[] = [];
  /** One after the other: the last change is the one that stays. */
  private last: Promise<void> = Promise.resolve();

  constructor(options: ReloaderOptions) {
    this.options = options;
    for (const part of options.parts) {
      if (!part.isWatched) continue;
      for (const file of part.files) {
        const listener = () => void this.run([part]);
        watchFile(file, { interval: WATCH_MS, persistent: false }, listener);
        this.watchers.push({ file, listener });
      }
    }
  }

  /** Reads all files again. Never throws. */
  reload(): Promise<void> {
    return this.run(this.options.parts);
  }

  /** Watches no file any more. */
  dispose(): void {
    for (const { file, listener } of this.watchers) unwatchFile(file, listener);
  }

  private run(parts: readonly Reloadable[]): Promise<void> {
    this.last = this.last.then(async () => {
      for (const part of parts) await this.load(part);
    });
    return this.last;
  }

  private async load({ files, load }: Reloadable): Promise<void> {
    const { audit, onReload } = this.options;
    const list = files.join(", ");
    try {
      await load();
      audit({ event: "configuration_reloaded", files });
      onReload(`read again: ${list}`, true);
    } catch (error) {
      const reason = error instanceof KindlingError || error instanceof Error ? error.message : String(error);
      audit({ event: "configuration_refused", file: list, reason });
      onReload(`not read again, what was there before stays: ${reason}`, false);
    }
  }
}
