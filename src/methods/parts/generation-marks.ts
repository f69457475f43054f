/** Chat templates that say themselves what the assistant writes: `{% generation %}` ... `{% endgeneration %}`. */

/** Characters of private use, which no template and no message has. */
const [OPEN, CLOSE] = ["\u{10fff4}", "\u{10fff5}"];
const marks = new RegExp(`[${OPEN}${CLOSE}]`, "gu");
const tag = /\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}/g;

/** Whether a template has such tags. */
export const hasGenerationTags = (template: string): boolean => template.search(tag) >= 0;

/** The template with marks in place of the tags: inside of other tags, so that blanks beside them go as before. */
export const markedTemplate = (template: string): string =>
  template.replace(
    tag,
    (_, before: string, end: string | undefined, after: string) =>
      `{%${before} if true %}{{ '${end ? CLOSE : OPEN}' }}{% endif ${after}%}`,
  );

/** A rendered text without its marks, and where what is between them stands in it. */
export function takeMarks(text: string): { text: string; spans: [start: number, end: number][] } {
  const spans: [number, number][] = [];
  let [plain, last, start] = ["", 0, 0];
  for (const match of text.matchAll(marks)) {
    plain += text.slice(last, match.index);
    last = match.index + match[0].length;
    if (match[0] === OPEN) start = plain.length;
    else spans.push([start, plain.length]);
  }
  return { text: plain + text.slice(last), spans };
}
