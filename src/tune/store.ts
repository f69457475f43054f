import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError, isObject } from "../base/index.ts";
import {
  exists,
  FolderLock,
  makeFolder,
  readJson,
  withReadErrors,
  withWriteErrors,
  writeJson,
} from "../files/index.ts";
import { eventLine, type Journal, parseEvent, type StudyEvent, Trials } from "./journal.ts";
import { areObjectives, type Direction, isDirection, type StudyView } from "./records.ts";
import { parseSpace, type Space } from "./space.ts";

/** What a study searches for; it stays the same as long as there is the study. */
export interface StudyDefinition {
  space: Space;
  direction: Direction;
  /** Metrics that matter besides the value. @default none */
  objectives?: Readonly<Record<string, Direction>>;
}

/** A study that is kept in a folder. */
export interface StoredStudy extends StudyDefinition, StudyView {
  /** Where it is. */
  folder: string;
}

const FORMAT = 1;
const definitionFile = (folder: string) => join(folder, "study.json");
const eventFile = (folder: string) => join(folder, "trials.jsonl");
const use = {
  expected: "a study that no other process goes on with",
  doing: "runs it",
  otherwise: "name another folder",
};

/**
 * A study on the disk: study.json, written once, and trials.jsonl, to which a line is added for what happens. A line
 * that a kill or a power cut tore is cut off when the study is opened again.
 */
export class StudyStore implements Journal {
  private readonly lock: FolderLock;
  private readonly file: FileHandle;
  private readonly path: string;
  /** Lines are written one after another; one that fails fails all after it. */
  private written: Promise<void> = Promise.resolve();

  private constructor(lock: FolderLock, file: FileHandle, path: string) {
    this.lock = lock;
    this.file = file;
    this.path = path;
  }

  /**
   * Opens a study, or begins it.
   * @throws DataError when another process runs it, for another space or direction than it began with, and for damage
   *   that is no torn line; WriteError when the disk refuses
   */
  static async open(folder: string, definition: StudyDefinition): Promise<{ store: StudyStore; trials: Trials }> {
    await withWriteErrors(folder, () => makeFolder(folder));
    const lock = await FolderLock.acquire(folder, use);
    try {
      if (await exists(definitionFile(folder))) requireSame(folder, await readDefinition(folder), definition);
      else await writeJson(definitionFile(folder), { format: FORMAT, ...definition });
      const path = eventFile(folder);
      const file = await withWriteErrors(path, () => open(path, "a+"));
      try {
        const { trials, soundBytes } = readEvents(path, await file.readFile());
        await withWriteErrors(path, () => file.truncate(soundBytes));
        return { store: new StudyStore(lock, file, path), trials };
      } catch (error) {
        await file.close();
        throw error;
      }
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** @throws WriteError when the disk refuses; then for each later event too, since half a line may be there */
  append(event: StudyEvent): Promise<void> {
    const line = eventLine(event);
    this.written = this.written.then(() =>
      withWriteErrors(this.path, async () => {
        await this.file.appendFile(line);
        // a report that is lost is made again with its trial
        if (event.type !== "report") await this.file.sync();
      }),
    );
    return this.written;
  }

  async close(): Promise<void> {
    await this.written.catch(() => {}); // whoever waited for it knows
    await this.file.close();
    await this.lock.release();
  }
}

/**
 * Reads a study, also while a process runs it.
 * @throws DataError when there is none, or it is damaged
 */
export async function readStudy(folder: string): Promise<StoredStudy> {
  const definition = await readDefinition(folder);
  const path = eventFile(folder);
  const bytes = (await exists(path))
    ? await withReadErrors(path, "the trials of a study", () => readFile(path))
    : new Uint8Array();
  return { folder, ...definition, trials: readEvents(path, bytes).trials.list };
}

async function readDefinition(folder: string): Promise<StudyDefinition> {
  const path = definitionFile(folder);
  if (!(await exists(path))) {
    const fix = "name the folder of a study, which kindling tune has made";
    throw new DataError({ where: folder, expected: "a study (study.json)", received: "none", fix });
  }
  const { format, space, direction, objectives } = await readJson(path);
  const isFine = isDirection(direction) && (objectives === undefined || areObjectives(objectives));
  if (format !== FORMAT || !isFine || !isObject(space)) {
    const received = `format ${JSON.stringify(format)}, direction ${JSON.stringify(direction)}`;
    const expected = `a study of format ${FORMAT}`;
    throw new DataError({ where: path, expected, received, fix: "use the version of Kindling that made it" });
  }
  const parameters = Object.entries(space).map(([name, parameter]) => [name, asWritten(parameter)]);
  return {
    space: parseSpace(path, Object.fromEntries(parameters)),
    direction,
    ...(objectives !== undefined && { objectives: objectives as Record<string, Direction> }),
  };
}

/** A condition in the form in which users write it. */
function asWritten(parameter: unknown): unknown {
  if (!isObject(parameter) || !isObject(parameter.when)) return parameter;
  const { parameter: name, values } = parameter.when;
  return { ...parameter, when: { [String(name)]: values } };
}

/** The trials of all whole lines, and how long these are. */
function readEvents(path: string, bytes: Uint8Array): { trials: Trials; soundBytes: number } {
  const trials = new Trials();
  const end = bytes.lastIndexOf(0x0a) + 1;
  const lines = new TextDecoder().decode(bytes.subarray(0, end)).split("\n").slice(0, -1);
  let soundBytes = 0;
  for (const [i, line] of lines.entries()) {
    const event = parseEvent(line);
    if (event) trials.apply(event);
    else if (i === lines.length - 1)
      break; // a power cut may leave a length without its content
    else {
      const fix = "remove the line, or begin a new study in another folder";
      throw new DataError({ where: `${path}:${i + 1}`, expected: "an event", received: line.slice(0, 60), fix });
    }
    soundBytes += Buffer.byteLength(line) + 1;
  }
  return { trials, soundBytes };
}

function requireSame(folder: string, before: StudyDefinition, now: StudyDefinition): void {
  const fix = "name another folder for another study, or go on with the space that it has";
  if (before.direction !== now.direction)
    throw new DataError({
      where: folder,
      expected: `to ${before.direction}, as the study does`,
      received: now.direction,
      fix,
    });
  const [objectives, others] = [before.objectives, now.objectives].map((each) => JSON.stringify(each ?? {}));
  if (objectives !== others)
    throw new DataError({
      where: `${folder}: objectives`,
      expected: `${objectives}, as the study has them`,
      received: others,
      fix,
    });
  const names = new Set([...Object.keys(before.space), ...Object.keys(now.space)]);
  for (const name of names) {
    const [old, other] = [before.space[name], now.space[name]].map(textOf);
    if (old === other) continue;
    throw new DataError({ where: `${folder}: ${name}`, expected: `${old}, as the study has it`, received: other, fix });
  }
}

/** The same text for the same parameter, in whatever order its fields are. */
const textOf = (parameter: object | undefined): string =>
  parameter === undefined
    ? "no such parameter"
    : JSON.stringify(parameter, (_, value) =>
        isObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
      );
