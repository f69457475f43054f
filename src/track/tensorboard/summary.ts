/** Values of TensorBoard's summaries, as PyTorch's writer makes them: tensorboard/compat/proto/summary.proto. */
import { Message } from "../message.ts";
import { pngOf } from "../png.ts";
import type { ConfigValue, Picture, RunEnd } from "../tracker.ts";
import type { Histogram } from "./histogram.ts";

const encoder = new TextEncoder();
const RGB = 3;
const STRING_TENSOR = 7;

/** A number; it is kept in 32 bits. */
export const scalarValue = (tag: string, value: number): Message => new Message().text(1, tag).always.float(2, value);

/** A text, which TensorBoard shows as Markdown. */
export function textValue(tag: string, text: string): Message {
  const tensor = new Message()
    .int(1, STRING_TENSOR)
    .message(2, new Message().message(2, new Message().int(1, 1)))
    .always.bytes(8, encoder.encode(text));
  return new Message().text(1, `${tag}/text_summary`).message(8, tensor).message(9, pluginMetadata("text"));
}

/** How values are spread. */
export function histogramValue(tag: string, histogram: Histogram): Message {
  const { min, max, count, sum, sumOfSquares, limits, counts } = histogram;
  const message = new Message().double(1, min).double(2, max).double(3, count).double(4, sum).double(5, sumOfSquares);
  return new Message().text(1, tag).message(5, message.doubles(6, limits).doubles(7, counts));
}

/** A picture, as PNG. @throws OptionError for pixels that are not as many as the sizes say */
export function imageValue(tag: string, picture: Picture): Message {
  const image = new Message().int(1, picture.height).int(2, picture.width).int(3, RGB);
  return new Message().text(1, tag).message(4, image.always.bytes(4, pngOf(picture)));
}

const pluginMetadata = (name: string, content?: Message): Message =>
  new Message().message(1, new Message().text(1, name).message(2, content));

// plugins/hparams/plugin_data.proto; the content is one member of a oneof
const hparamsValue = (name: string, field: number, content: Message): Message =>
  new Message()
    .text(1, `_hparams_/${name}`)
    .message(9, pluginMetadata("hparams", new Message().message(field, content)));

/** The options of a run, for the page HPARAMS: those that are null are left out. */
export function optionsValue(
  config: Readonly<Record<string, ConfigValue>>,
  { group, timeSeconds }: { group: string; timeSeconds: number },
): Message {
  const message = new Message();
  for (const [name, value] of Object.entries(config)) {
    if (value === null) continue;
    message.message(1, new Message().text(1, name).message(2, structValue(value)));
  }
  return hparamsValue("session_start_info", 3, message.text(4, group).double(5, timeSeconds));
}

// google/protobuf/struct.proto
function structValue(value: string | number | boolean): Message {
  const { always } = new Message();
  if (typeof value === "number") return always.double(2, value);
  return typeof value === "string" ? always.text(3, value) : always.bool(4, value);
}

const dataTypes = { string: 1, boolean: 2, number: 3 } as const;

/** Which options and which numbers the page HPARAMS compares. */
export function experimentValue(
  config: Readonly<Record<string, ConfigValue>>,
  metrics: readonly string[],
  timeSeconds: number,
): Message {
  const message = new Message().double(3, timeSeconds);
  for (const [name, value] of Object.entries(config)) {
    if (value === null) continue;
    const type = dataTypes[typeof value as keyof typeof dataTypes];
    message.message(4, new Message().text(1, name).int(4, type));
  }
  for (const tag of metrics) message.message(5, new Message().message(1, new Message().text(2, tag)));
  return hparamsValue("experiment", 2, message);
}

/** Of plugins/hparams/api.proto: success, failure, unknown. */
const statuses: Record<RunEnd, number> = { finished: 1, failed: 2, stopped: 0 };

/** How a run ended. */
export const endValue = (end: RunEnd, timeSeconds: number): Message =>
  hparamsValue("session_end_info", 4, new Message().int(1, statuses[end]).double(2, timeSeconds));
