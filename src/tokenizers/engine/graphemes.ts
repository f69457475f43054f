const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" });
/** A segment takes time that grows with the text that it is cut from: texts are cut from pieces of so many units. */
const WINDOW = 512;

/**
 * What readers see as characters, each a letter with its marks, in time linear in the text. Unicode Standard Annex 29,
 * section 3.
 */
export function* graphemesOf(text: string): Generator<string> {
  let length = WINDOW;
  for (let start = 0; start < text.length; ) {
    const window = text.slice(start, start + length);
    const isLast = start + window.length === text.length;
    const segments = Array.from(segmenter.segment(window), ({ segment }) => segment);
    // the last one may go on behind the window: it is cut anew, from a larger window where there was no other
    const whole = isLast ? segments : segments.slice(0, -1);
    length = whole.length > 0 ? WINDOW : 2 * length;
    for (const segment of whole) {
      start += segment.length;
      yield segment;
    }
  }
}
