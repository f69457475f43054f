import { EventParser } from "../http/index.ts";

/** A part of a stream of server-sent events up to an empty line: an event, or comments between events. */
export interface EventBlock {
  /** As it came. */
  bytes: Uint8Array;
  /** Of the event; undefined for comments. */
  data: string | undefined;
}

const LF = 10;
const CR = 13;
/** Bytes of one block: more is no event of a model. */
const MOST_BYTES = 8 << 20;

/** Cuts a stream that comes in pieces into its blocks, whose bytes can be passed on as they are. */
export class EventBlocks {
  private rest: Uint8Array = new Uint8Array(0);
  /** Bytes of the rest that were looked at, and whether the line at their end is empty so far. */
  private seen = 0;
  private isLineEmpty = true;

  /** The blocks that end in these bytes. @throws RangeError for a block that is too long */
  push(bytes: Uint8Array): EventBlock[] {
    const buffer = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    const blocks: EventBlock[] = [];
    let start = 0;
    let at = this.seen;
    for (; at < buffer.length; at++) {
      const code = buffer[at];
      if (code === CR && at + 1 === buffer.length) break; // a line feed may follow that belongs to it
      if (code !== LF && code !== CR) this.isLineEmpty = false;
      else {
        if (code === CR && buffer[at + 1] === LF) at++;
        if (this.isLineEmpty) {
          blocks.push(blockOf(buffer.subarray(start, at + 1)));
          start = at + 1;
        }
        this.isLineEmpty = true;
      }
    }
    this.rest = buffer.subarray(start);
    this.seen = at - start;
    if (this.rest.length > MOST_BYTES) throw new RangeError("an event of a stream is too long");
    return blocks;
  }

  /** What the stream ended in, for servers that leave out the last empty line. */
  end(): EventBlock[] {
    const { rest } = this;
    this.rest = new Uint8Array(0);
    return rest.length === 0 ? [] : [blockOf(Buffer.concat([rest, Buffer.from("\n\n")]))];
  }
}

function blockOf(bytes: Uint8Array): EventBlock {
  return { bytes, data: new EventParser().push(bytes)[0] };
}
