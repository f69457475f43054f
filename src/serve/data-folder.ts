import { join } from "#system";
import { FolderLock, makeFolder, ownerModes } from "../files/index.ts";
import { BatchStore } from "./batches/store.ts";
import { type FileLimits, FileStore } from "./files/store.ts";

const use = {
  expected: "a folder that no other server uses",
  doing: "keeps files and batches in it",
  otherwise: "choose another --data",
};

/**
 * Where a server keeps files and batches, over restarts and kills: its owner's alone. One server at a time has it.
 */
export class DataFolder {
  readonly files: FileStore;
  readonly batches: BatchStore;
  private readonly lock: FolderLock;
  /** What works in the folder, and has to end before it is left. */
  private readonly workers: (() => Promise<void>)[] = [];

  private constructor(lock: FolderLock, files: FileStore, batches: BatchStore) {
    this.lock = lock;
    this.files = files;
    this.batches = batches;
  }

  /**
   * Opens a folder, or makes it, and puts right what a killed server left there.
   * @throws DataError when another server has it, or a file of it is damaged; WriteError when it cannot be written
   */
  static async open(folder: string, limits: FileLimits = {}): Promise<DataFolder> {
    await makeFolder(folder, { mode: ownerModes.folder });
    const lock = await FolderLock.acquire(folder, use);
    try {
      const files = await FileStore.open(join(folder, "files"), limits);
      return new DataFolder(lock, files, await BatchStore.open(join(folder, "batches")));
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Has work ended before the folder is given up. @param stop resolves when nothing is written any more */
  onClose(stop: () => Promise<void>): void {
    this.workers.push(stop);
  }

  /** Ends the work on batches, which goes on when the folder is opened again, and lets others have the folder. */
  async close(): Promise<void> {
    await Promise.all(this.workers.splice(0).map((stop) => stop()));
    await this.lock.release();
  }
}
