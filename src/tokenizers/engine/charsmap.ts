import { DataError } from "../../base/index.ts";

const FIX = "fetch the file again, from a source that you trust";

/**
 * SentencePiece's table of replacements: a double-array trie over UTF-8 bytes, and the texts that its values point at.
 * Aoe 1989. Opening it goes through the whole trie: whatever text is looked up afterwards, no step leaves the table.
 */
export class CharsMap {
  private readonly units: Uint32Array;
  private readonly texts: Uint8Array;
  private readonly known = new Map<string, string | undefined>();

  /**
   * @param base64 the size of the trie in bytes, its units, then texts that end in 0
   * @throws DataError for a trie that leads outside of itself, or to no text
   */
  constructor(base64: string, where: string) {
    const fail = (expected: string, received: string) => new DataError({ where, expected, received, fix: FIX });
    if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64))
      throw fail("a table in base64", base64.slice(0, 20));
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    if (bytes.length < 4) throw fail("a table of at least 4 bytes", `${bytes.length}`);
    const view = new DataView(bytes.buffer);
    const size = view.getUint32(0, true);
    if (size === 0 || size % 4 !== 0 || 4 + size >= bytes.length)
      throw fail("a trie inside its table, and texts behind it", `${size} of ${bytes.length} bytes`);
    this.units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.texts = bytes.subarray(4 + size);
    if (this.texts[this.texts.length - 1] !== 0) throw fail("texts that end in 0", "others");
    if (!isUtf8(this.texts)) throw fail("texts in UTF-8", "other bytes");
    this.checkTrie(fail);
  }

  /** Every place that some text leads to, once. */
  private checkTrie(fail: (expected: string, received: string) => DataError): void {
    const { units, texts } = this;
    const seen = new Uint8Array(units.length);
    const waiting: number[] = [];
    const visit = (place: number) => {
      if ((place | 0xff) >= units.length || place < 0)
        throw fail(`a trie within its ${units.length} units`, `a way to unit ${place}`);
      if (seen[place] === 0) waiting.push(place);
      seen[place] = 1;
    };
    visit(offsetOf(units[0]));
    for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
      for (let byte = 1; byte < 256; byte++) {
        const unit = units[place ^ byte];
        if (labelOf(unit) !== byte) continue;
        const next = place ^ byte ^ offsetOf(unit);
        visit(next);
        if (!hasValue(unit)) continue;
        const text = units[next] & VALUE;
        const isStart = text < texts.length && (texts[text] & 0xc0) !== 0x80;
        if (!isStart) throw fail(`values that are beginnings of texts, below ${texts.length}`, `${text}`);
      }
    }
  }

  /** What stands for the shortest beginning of a text that the table has; undefined where it has none. */
  replacement(text: string): string | undefined {
    if (!this.known.has(text)) this.known.set(text, this.find(text));
    return this.known.get(text);
  }

  private find(text: string): string | undefined {
    const { units } = this;
    let place = offsetOf(units[0]);
    for (const byte of new TextEncoder().encode(text)) {
      if (byte === 0) return undefined;
      place ^= byte;
      const unit = units[place];
      if (labelOf(unit) !== byte) return undefined;
      place ^= offsetOf(unit);
      if (hasValue(unit)) return this.textAt(units[place] & VALUE);
    }
    return undefined;
  }

  private textAt(start: number): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      this.texts.subarray(start, this.texts.indexOf(0, start)),
    );
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes) !== undefined;
  } catch {
    return false;
  }
}

const VALUE = 0x7fffffff;
const hasValue = (unit: number): boolean => ((unit >>> 8) & 1) === 1;
const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
