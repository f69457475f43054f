import type { HostArray } from "../base/index.ts";
import type { ToBackend } from "./protocol.ts";

/**
 * The array in a buffer that is not much larger: a message to another thread takes the whole buffer of a view along.
 * One that a mapping of whole pages makes a little larger is left.
 */
const alone = (data: HostArray): HostArray => (2 * data.byteLength < data.buffer.byteLength ? data.slice() : data);

/** A request of which no array is a small part of a buffer, such as that of a whole file. */
export function withOwnBuffers(message: ToBackend): ToBackend {
  if (!("kind" in message)) return message;
  if (message.kind === "upload") return { ...message, data: alone(message.data) };
  if (message.kind !== "run") return message;
  return { ...message, hostInputs: message.hostInputs.map((input) => ({ ...input, data: alone(input.data) })) };
}
