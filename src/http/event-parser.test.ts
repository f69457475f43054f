import fc from "fast-check";
import { expect, test } from "vitest";
import { EventParser } from "./event-parser.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** The data of all events of a stream that comes in pieces of these lengths. */
function read(stream: Uint8Array, lengths: readonly number[] = []): string[] {
  const parser = new EventParser();
  const events: string[] = [];
  let from = 0;
  for (const length of [...lengths, stream.length]) {
    events.push(...parser.push(stream.subarray(from, from + length)));
    from += length;
  }
  return [...events, ...parser.end()];
}

test.each<[string, string, string[]]>([
  ["line feeds", "data: a\n\ndata: b\n\n", ["a", "b"]],
  ["carriage returns with line feeds", "data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]],
  ["carriage returns", "data: a\r\rdata: b\r\r", ["a", "b"]],
  ["comments between and within", ": ping\n\ndata: a\n: ping\ndata: b\n\n:\n\n", ["a\nb"]],
  ["several lines of data", "data: {\ndata:   1\ndata\ndata:}\n\n", ["{\n  1\n\n}"]],
  ["no space, or two", "data:a\n\ndata:  b\n\n", ["a", " b"]],
  ["other fields", "event: x\nid: 1\nretry: 10\ndata: a\ndatax: b\n\nevent: y\n\n", ["a"]],
  ["a byte order mark", "\ufeffdata: a\n\n", ["a"]],
  ["an event that the stream ends in", "data: a\n\ndata: b", ["a", "b"]],
  ["more empty lines than one", "\n\n\ndata: a\n\n\n\n", ["a"]],
  ["no event", "", []],
])("reads %s", (_, stream, events) => {
  expect(read(bytesOf(stream))).toEqual(events);
});

test("a stream that is cut anywhere is the same stream", () => {
  const part = fc.constantFrom(
    "data: ",
    "data:",
    "é",
    "😀",
    "x",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    ": c\n",
    "data",
    "id: 1\n",
  );
  const stream = fc.array(part, { maxLength: 40 }).map((parts) => bytesOf(parts.join("")));
  const lengths = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 });
  fc.assert(
    fc.property(stream, lengths, (bytes, cuts) => {
      expect(read(bytes, cuts)).toEqual(read(bytes));
    }),
  );
});

test("an event without end is refused, and not kept", () => {
  const parser = new EventParser();
  const piece = bytesOf("x".repeat(1 << 20));
  expect(() => {
    for (let i = 0; i < 6; i++) parser.push(piece);
  }).toThrow(/server-sent events: expected events of at most 4194304 characters/);
});
