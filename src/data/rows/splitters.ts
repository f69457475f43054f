/** Where records of text files begin and end, in bytes that come piece by piece. */

/** Told of a record: where it begins and ends in the bytes, and how many line ends lie within and behind it. */
export type OnRecord = (start: number, end: number, lines: number) => void;

/** Cuts bytes into records. */
export interface Splitter {
  /**
   * Tells the records that are whole in `bytes` from `from` on, and gives where the unfinished one begins. `isEnd`: no
   * more bytes follow, so that all records are whole. Called again with more bytes, which begin with what was
   * unfinished.
   */
  scan(bytes: Buffer, from: number, isEnd: boolean, onRecord: OnRecord): number;
  /** What is wrong with the file as a whole, once all of it was seen. @default nothing */
  problem?(): string | undefined;
}

const [NEWLINE, RETURN, QUOTE, BACKSLASH, COMMA] = [0x0a, 0x0d, 0x22, 0x5c, 0x2c];

/** One record a line; "\r\n" ends one too, and empty lines are records of no bytes. */
export function lineSplitter(): Splitter {
  const scan: Splitter["scan"] = (bytes, from, isEnd, onRecord) => {
    let start = from;
    for (let end = bytes.indexOf(NEWLINE, start); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      onRecord(start, end > start && bytes[end - 1] === RETURN ? end - 1 : end, 1);
      start = end + 1;
    }
    if (isEnd && start < bytes.length) {
      onRecord(start, bytes.length, 1);
      return bytes.length;
    }
    return start;
  };
  return { scan };
}

/**
 * Records of CSV. A line end within quotes belongs to a cell. RFC 4180, and a quote that does not begin a cell is one
 * of its characters. A lone "\r", as old spreadsheets wrote it, ends a record too.
 */
export function csvSplitter(delimiter: string): Splitter {
  const separator = delimiter.charCodeAt(0);
  const scan: Splitter["scan"] = (bytes, from, isEnd, onRecord) => {
    const { length } = bytes;
    let [start, lines, isCellStart] = [from, 0, true];
    for (let at = from; at < length; at++) {
      const byte = bytes[at];
      if (byte === QUOTE && isCellStart) {
        const end = quotedEnd(bytes, at, isEnd);
        if (end < 0) break;
        lines += newlinesIn(bytes, at, end);
        [at, isCellStart] = [end, false];
      } else if (byte === NEWLINE || byte === RETURN) {
        const isCut = byte === RETURN && at + 1 === length && !isEnd; // "\n" may follow
        if (isCut) break;
        onRecord(start, at, lines + 1);
        at += Number(byte === RETURN && bytes[at + 1] === NEWLINE);
        [start, lines, isCellStart] = [at + 1, 0, true];
      } else isCellStart = byte === separator;
    }
    if (!isEnd || start === length) return start;
    onRecord(start, length, newlinesIn(bytes, start, length) + 1);
    return length;
  };
  return { scan };
}

/** Where the quotes of a cell end that begins at one; -1 where they do not, or more bytes may go on with them. */
function quotedEnd(bytes: Buffer, start: number, isEnd: boolean): number {
  let end = bytes.indexOf(QUOTE, start + 1);
  while (end >= 0 && bytes[end + 1] === QUOTE) end = bytes.indexOf(QUOTE, end + 2);
  return end + 1 === bytes.length && !isEnd ? -1 : end;
}

function newlinesIn(bytes: Buffer, start: number, end: number): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE, start); at >= 0 && at < end; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}

const isBlank = (byte: number) => byte === 0x20 || byte === 0x09 || byte === NEWLINE || byte === RETURN;
const isOpening = (byte: number) => byte === 0x5b || byte === 0x7b;
const isClosing = (byte: number) => byte === 0x5d || byte === 0x7d;

/** The values of one list of JSON, which may be larger than memory. */
export function jsonListSplitter(): Splitter {
  let state: "before" | "inside" | "behind" = "before";
  /** Whether a byte between values is one that stands there, and no value begins. */
  const isBetween = (byte: number): boolean => {
    if (isBlank(byte)) return true;
    if (state === "before" && byte === 0x5b) state = "inside";
    else if (state === "inside" && byte === 0x5d) state = "behind";
    else return state === "inside" && byte === COMMA;
    return true;
  };
  const scan: Splitter["scan"] = (bytes, from, isEnd, onRecord) => {
    let before = from; // lines up to here are told
    for (let at = from; at < bytes.length; at++) {
      if (isBetween(bytes[at])) continue;
      onRecord(at, at, newlinesIn(bytes, before, at));
      before = at;
      const end = valueEnd(bytes, at, isEnd);
      if (end < 0) return at;
      onRecord(at, end, newlinesIn(bytes, at, end));
      [at, before] = [end - 1, end];
    }
    onRecord(bytes.length, bytes.length, newlinesIn(bytes, before, bytes.length));
    return bytes.length;
  };
  return { scan, problem: () => (state === "behind" ? undefined : "a list of JSON that does not end") };
}

/** Where a value of a list ends: before the comma or bracket behind it; -1 where it goes on. */
function valueEnd(bytes: Buffer, start: number, isEnd: boolean): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = stringEnd(bytes, at);
      if (at < 0) break;
    } else if (isOpening(byte)) depth++;
    else if (depth > 0 && isClosing(byte)) depth--;
    else if (depth === 0 && at > start && (byte === COMMA || isClosing(byte))) return at;
  }
  return isEnd ? bytes.length : -1;
}

/** Where the string ends that begins at a quote; -1 where it does not end. */
function stringEnd(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); end >= 0; end = bytes.indexOf(QUOTE, end + 1)) {
    let escapes = 0;
    while (bytes[end - 1 - escapes] === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return -1;
}
