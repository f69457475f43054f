/** Records of W&B's transaction log: wandb/proto/wandb_internal.proto. */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Message } from "../message.ts";
import type { ConfigValue, RunEnd } from "../tracker.ts";

/** Fields of a record. */
const [NUMBER, HISTORY, SUMMARY, RUN, EXIT, HEADER] = [1, 2, 3, 17, 18, 21];
/** What the program calls itself, and the oldest one that can read what it writes. */
const PRODUCER = "0.31.0+kindling";
const MIN_CONSUMER = "0.70.0";

/** JSON has no such numbers; W&B takes them as these texts. */
const jsonOf = (value: unknown): string =>
  typeof value === "number" && !Number.isFinite(value) ? JSON.stringify(String(value)) : JSON.stringify(value);

const record = (number: number, field: number, content: Message): Uint8Array =>
  new Message().int(NUMBER, number).message(field, content).bytes();

/** The first record. */
export const headerRecord = (number: number): Uint8Array =>
  record(number, HEADER, new Message().message(1, new Message().text(1, PRODUCER).text(2, MIN_CONSUMER)));

/** What W&B knows of a run. */
export interface WandbRun {
  id: string;
  entity: string | undefined;
  project: string;
  name: string;
  config: Readonly<Record<string, ConfigValue>>;
  tags: readonly string[];
  startMs: number;
}

/** The second record. */
export function runRecord(number: number, { id, entity, project, name, config, tags, startMs }: WandbRun): Uint8Array {
  const items = new Message();
  for (const [key, value] of Object.entries(config))
    items.message(1, new Message().text(1, key).text(16, jsonOf(value)));
  const run = new Message().text(1, id).text(2, entity).text(3, project).message(4, items).text(8, name);
  for (const tag of tags) run.text(10, tag);
  const seconds = Math.floor(startMs / 1000);
  const start = new Message().int(1, seconds).int(2, Math.round((startMs - 1000 * seconds) * 1e6));
  return record(number, RUN, run.message(17, start));
}

/** Names are lists of one part, so that dots in them stay. */
const itemOf = (name: string, value: unknown) => new Message().text(2, name).text(16, jsonOf(value));

/** What was measured after a step. */
export function historyRecord(number: number, step: number, values: Readonly<Record<string, unknown>>): Uint8Array {
  const history = new Message();
  for (const [name, value] of Object.entries({ ...values, _step: step })) history.message(1, itemOf(name, value));
  return record(number, HISTORY, history.message(2, new Message().int(1, step)));
}

/** The last numbers. */
export function summaryRecord(number: number, values: Readonly<Record<string, unknown>>): Uint8Array {
  const summary = new Message();
  for (const [name, value] of Object.entries(values)) summary.message(1, itemOf(name, value));
  return record(number, SUMMARY, summary);
}

/** The last record. */
export const exitRecord = (number: number, end: RunEnd, seconds: number): Uint8Array =>
  record(number, EXIT, new Message().int(1, end === "failed" ? 1 : 0).int(2, Math.round(seconds)));

/** What kind of record it is, and of a history its step. */
export function kindOf(bytes: Uint8Array): { kind: "history" | "head" | "other"; step: number } {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === HISTORY) return { kind: "history", step: stepOf(reader.bytes()) };
    if (field === HEADER || field === RUN) return { kind: "head", step: 0 };
    reader.skip(type, field);
  }
  return { kind: "other", step: 0 };
}

function stepOf(history: Uint8Array): number {
  const reader = new BinaryReader(history);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field !== 2) {
      reader.skip(type, field);
      continue;
    }
    const inner = new BinaryReader(reader.bytes());
    while (inner.pos < inner.len) {
      const [innerField, innerType] = inner.tag();
      if (innerField === 1) return Number(inner.int64());
      inner.skip(innerType, innerField);
    }
  }
  return 0;
}
