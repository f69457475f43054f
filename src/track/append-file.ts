import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder, withWriteErrors } from "../files/index.ts";

/** A file that grows by whole pieces: what a full disk cuts off is taken away again, so that it may be written anew. */
export class AppendFile {
  private readonly path: string;
  private readonly file: FileHandle;
  private bytes: number;

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.path = path;
    this.file = file;
    this.bytes = bytes;
  }

  /** Opens or makes it, and its folder. @throws WriteError */
  static open(path: string): Promise<AppendFile> {
    return withWriteErrors(path, async () => {
      await makeFolder(dirname(path));
      const file = await open(path, "a");
      return new AppendFile(path, file, (await file.stat()).size);
    });
  }

  /** @throws WriteError, and the file is as it was */
  append(content: string | Uint8Array): Promise<void> {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    return withWriteErrors(this.path, async () => {
      try {
        await this.file.appendFile(bytes);
        this.bytes += bytes.length;
      } catch (error) {
        await this.file.truncate(this.bytes).catch(() => {}); // the first error is the one to report
        throw error;
      }
    });
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
