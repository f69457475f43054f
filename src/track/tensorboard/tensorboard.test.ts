import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import golden from "../../../golden/track/tensorboard.json" with { type: "json" };
import { Message } from "../message.ts";
import { type Histogram, histogramOf } from "./histogram.ts";
import { recordOf } from "./record.ts";
import { endValue, experimentValue, histogramValue, optionsValue, scalarValue, textValue } from "./summary.ts";
import { tensorBoard } from "./tensorboard.ts";

const { timeSeconds, records } = golden;
const config = { isTied: false, learningRate: 0, tokenizer: "bpe", nothing: null };
const event = (step: number) => new Message().double(1, timeSeconds).int(2, step);
const summary = (step: number, value: Message) => event(step).message(5, new Message().message(1, value));

const events: Record<keyof typeof records, Message> = {
  version: event(0).text(3, "brain.Event:2"),
  restart: event(41).message(7, new Message().int(1, 1)),
  scalar: summary(3, scalarValue("train/loss", 2.625)),
  zero: summary(3, scalarValue("train/loss", 0)),
  "not a number": summary(3, scalarValue("train/loss", Number.NaN)),
  text: summary(7, textValue("sample", "Das Wal\u200b 鲸 \u{1f40b}")),
  histogram: summary(9, histogramValue("weights", histogramOf(golden.values) as Histogram)),
  options: summary(0, optionsValue(config, { group: "sotu", timeSeconds })),
  experiment: summary(0, experimentValue(config, ["train/loss", "validation/loss"], timeSeconds)),
  end: summary(90, endValue("finished", timeSeconds)),
};

test.each(Object.entries(events))("%s: the bytes of TensorBoard's writer", (name, message) => {
  const expected = records[name as keyof typeof records];
  expect(Buffer.from(recordOf(message.bytes())).toString("base64")).toBe(expected);
});

test("values that are not finite are in no histogram, and large ones in the last bucket", () => {
  expect(histogramOf([Number.NaN, Number.POSITIVE_INFINITY])).toBeUndefined();
  const { count, limits, counts } = histogramOf([Number.NaN, 1e30]) as Histogram;
  expect([count, limits.at(-1), counts.at(-1)]).toEqual([1, Number.MAX_VALUE, 1]);
});

test("a session writes a file of its own, later than those before it, and a resumed one takes back what came after", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  for (const resumedStep of [0, 5]) {
    const tracker = tensorBoard();
    tracker.start({ name: "a", folder, config }, resumedStep);
    tracker.log(resumedStep + 1, { "train/loss": 1 });
    tracker.image(resumedStep + 1, "grey", { width: 2, height: 1, rgb: new Uint8Array(6) });
    await tracker.finish({ end: "finished", step: resumedStep + 1, values: {} });
  }
  const names = (await readdir(join(folder, "tensorboard"))).sort();
  expect(names).toHaveLength(2);
  const types = await Promise.all(
    names.map(async (name) => readRecords(await readFile(join(folder, "tensorboard", name)))),
  );
  expect(types.map((list) => list.length)).toEqual([6, 6]);
});

/** The data of all records. */
function readRecords(bytes: Buffer): Buffer[] {
  const list: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(Buffer.from(recordOf(data))).toEqual(bytes.subarray(at, at + 16 + length));
    list.push(data);
    at += 16 + length;
  }
  return list;
}
