import { DataError } from "../base/index.ts";

/** Characters of one event: more is no answer of a model. */
const MAX_EVENT = 4 << 20;
const lineEnd = /\r\n|\r|\n/;

/**
 * Reads server-sent events as the HTML standard says, section 9.2.6, from bytes that are cut anywhere. Of an event only
 * its data is kept; comments, names, ids and waiting times are passed over.
 */
export class EventParser {
  private readonly decoder = new TextDecoder(); // takes a byte order mark away
  private line = "";
  private data: string[] = [];
  private length = 0;
  private endsWithReturn = false;

  /** The data of the events that end in these bytes. @throws DataError for an event of more than 4 Mi characters */
  push(bytes: Uint8Array): string[] {
    let text = this.decoder.decode(bytes, { stream: true });
    if (text === "") return [];
    if (this.endsWithReturn && text.startsWith("\n")) text = text.slice(1);
    this.endsWithReturn = text.endsWith("\r");
    const [first, ...rest] = text.split(lineEnd);
    const events: string[] = [];
    this.line += first;
    this.length += first.length;
    for (const next of rest) {
      this.endLine(events);
      this.line = next;
      this.length += next.length;
    }
    if (this.length > MAX_EVENT) {
      throw new DataError({
        where: "server-sent events",
        expected: `events of at most ${MAX_EVENT} characters`,
        received: "a longer one",
        fix: "check that the address is that of a model server",
      });
    }
    return events;
  }

  /** The data of an event that the stream ended in, for servers that leave out the last empty line. */
  end(): string[] {
    const events: string[] = [];
    if (this.line !== "") this.endLine(events);
    this.line = "";
    this.endLine(events);
    return events;
  }

  private endLine(events: string[]): void {
    const { line } = this;
    if (line === "") {
      if (this.data.length > 0) events.push(this.data.join("\n"));
      this.data = [];
      this.length = 0;
    } else if (line === "data") this.data.push("");
    else if (line.startsWith("data:")) this.data.push(line.slice(line[5] === " " ? 6 : 5));
  }
}
