/** SentencePiece's table of replacements: a double-array trie over UTF-8 bytes, and the texts that its values point at. Aoe 1989. */
export class CharsMap {
  private readonly units: Uint32Array;
  private readonly texts: Uint8Array;
  private readonly known = new Map<string, string | undefined>();

  /** @param base64 the size of the trie in bytes, its units, then texts that end in 0 */
  constructor(base64: string) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const size = view.getUint32(0, true);
    this.units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.texts = bytes.subarray(4 + size);
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
      if (unit === undefined || labelOf(unit) !== byte) return undefined;
      place ^= offsetOf(unit);
      if ((unit >>> 8) & 1) return this.textAt(units[place] & 0x7fffffff);
    }
    return undefined;
  }

  private textAt(start: number): string {
    const end = this.texts.indexOf(0, start);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.texts.subarray(start, end < 0 ? undefined : end));
  }
}

const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
