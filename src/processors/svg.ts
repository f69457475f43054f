/**
 * What an SVG asks of the library that draws it, counted before that sees it. A small drawing may take hours or all
 * memory: by filters, references that refer again, layers in layers. Pillow draws no SVG at all, so what cannot be
 * bounded is refused by name: filters, markers, pictures from outside.
 */
import { DataError, limits, overLimit, withinLimit } from "../base/index.ts";

/**
 * Elements that are drawn, those that are referred to as often as they are; and how many of them are inside one
 * another.
 */
export interface Drawing {
  readonly elements: number;
  readonly depth: number;
}

interface Element {
  readonly name: string;
  readonly children: Element[];
  /** Names of the elements that it refers to. */
  readonly references: readonly string[];
}

/** How compressed text begins, and text in UTF-16. */
const otherTexts = [
  [0x1f, 0x8b],
  [0xff, 0xfe],
  [0xfe, 0xff],
];
const isOtherText = (bytes: Uint8Array) =>
  otherTexts.some(([first, second]) => bytes[0] === first && bytes[1] === second);

/** Whether bytes are text that begins with "<", or text in another form: no format of pixels begins so. */
export const isMarkup = (bytes: Uint8Array): boolean =>
  isOtherText(bytes) || /^\s*</.test(new TextDecoder().decode(bytes.subarray(0, 1000)));

/** @throws DataError for what is not drawn here, and beyond limits */
export function checkSvg(where: string, bytes: Uint8Array): Drawing {
  withinLimit("svgBytes", bytes.length, where, "bytes of an SVG");
  if (isOtherText(bytes)) throw refused(where, "compressed text, or one in another encoding");
  const reader = new Reader(where, new TextDecoder().decode(bytes));
  const root = reader.root();
  return measured(where, root, reader);
}

/** @throws DataError when drawing so many pixels takes too long, or too much memory */
export function checkDrawing(where: string, { elements, depth }: Drawing, pixels: number): void {
  if (elements * pixels > limits.svgWork)
    throw overLimit("svgWork", where, "pixels times elements of an SVG", `${pixels} pixels, ${elements} elements`);
  if (depth * pixels > limits.svgLayers) {
    throw overLimit(
      "svgLayers",
      where,
      "pixels of an SVG times its elements inside one another",
      `${pixels} pixels, ${depth} elements`,
    );
  }
}

const refused = (where: string, received: string): DataError =>
  new DataError({
    where,
    expected: "an SVG in UTF-8 without filters, markers, entities and pictures from outside",
    received,
    fix: "save it as a PNG",
  });

/** Reads elements, their names and what they refer to; the library that draws checks the rest of the form. */
class Reader {
  readonly byId = new Map<string, Element>();
  /** What style sheets refer to. */
  readonly ofStyles: string[] = [];
  private readonly where: string;
  private readonly text: string;
  private at = 0;

  constructor(where: string, text: string) {
    this.where = where;
    this.text = text;
  }

  root(): Element {
    const root: Element = { name: "", children: [], references: [] };
    const open = [root];
    for (let tag = this.next(); tag !== undefined; tag = this.next()) {
      if (tag.startsWith("/")) {
        if (open.length > 1) open.pop();
        continue;
      }
      withinLimit("svgDepth", open.length, this.where, "elements of an SVG inside one another");
      const element = this.element(tag);
      open[open.length - 1].children.push(element);
      if (!tag.endsWith("/")) open.push(element);
      if (element.name === "style") this.styles();
    }
    return root;
  }

  /** What is between the next "<" and its ">", of an element's beginning or end. */
  private next(): string | undefined {
    for (;;) {
      const start = this.text.indexOf("<", this.at);
      if (start < 0) return undefined;
      const hidden = passedOver.find(([opening]) => this.text.startsWith(opening, start));
      if (!hidden) return this.tag(start + 1);
      this.at = this.after(hidden[1], start);
      this.checkDeclaration(this.text.slice(start, this.at));
    }
  }

  private checkDeclaration(text: string): void {
    if (text.startsWith("<!DOCTYPE") && text.includes("[")) throw refused(this.where, "a DOCTYPE with declarations");
    if (text.startsWith("<?xml-stylesheet")) throw refused(this.where, "a style sheet from outside");
    const encoding = /^<\?xml\s[^>]*encoding\s*=\s*["']([^"']*)/.exec(text)?.[1];
    if (encoding !== undefined && !/^(utf-8|us-ascii|iso-8859-1)$/i.test(encoding))
      throw refused(this.where, `the encoding ${encoding}`);
  }

  private after(text: string, start: number): number {
    const end = this.text.indexOf(text, start);
    if (end < 0) throw refused(this.where, "a text that ends in the middle");
    return end + text.length;
  }

  private tag(start: number): string {
    let quote = "";
    for (let end = start; end < this.text.length; end++) {
      const character = this.text[end];
      if (quote !== "") quote = character === quote ? "" : quote;
      else if (character === '"' || character === "'") quote = character;
      else if (character === ">") {
        this.at = end + 1;
        return this.text.slice(start, end);
      }
    }
    throw refused(this.where, "a text that ends in the middle");
  }

  private element(tag: string): Element {
    const name = (/^[^\s/]*/.exec(tag)?.[0] ?? "").replace(/^.*:/, "");
    if (["filter", "marker", "include"].includes(name)) throw refused(this.where, `<${name}>`);
    const references: string[] = [];
    let id: string | undefined;
    for (const [, attribute, double, single] of tag.matchAll(/([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)) {
      const value = (double ?? single).trim();
      const key = attribute.replace(/^.*:/, "");
      if (key === "filter" && value !== "none") throw refused(this.where, "a filter");
      if (key.startsWith("marker") && value !== "none") throw refused(this.where, "a marker");
      if (key === "style") this.checkStyle(value);
      if (key === "href" && name === "image" && !/^data:image\/(png|jpe?g);base64,/.test(value))
        throw refused(this.where, "a picture from outside");
      if (key === "href" && value.startsWith("#")) references.push(value.slice(1));
      if (key === "id") id = value;
      references.push(...referred(value));
    }
    const element: Element = { name, children: [], references };
    if (id !== undefined) this.byId.set(id, element);
    return element;
  }

  /** A style sheet, from its element's beginning to its end. */
  private styles(): void {
    const end = this.text.slice(this.at).search(/<\/([\w.-]+:)?style/);
    const text = this.text.slice(this.at, end < 0 ? undefined : this.at + end);
    for (const [opening, closing] of passedOver) {
      const begins = text.lastIndexOf(opening);
      if (begins >= 0 && !text.includes(closing, begins)) throw refused(this.where, "styles that end in the middle");
    }
    this.checkStyle(text);
    this.ofStyles.push(...referred(text));
  }

  private checkStyle(text: string): void {
    if (/\\|&#|@import/.test(text)) throw refused(this.where, "styles with escapes or imports");
    if (/filter\s*:(?!\s*none)/.test(text)) throw refused(this.where, "a filter");
    if (/marker[\w-]*\s*:(?!\s*none)/.test(text)) throw refused(this.where, "a marker");
  }
}

/** Parts that are no elements, and what they end with. */
const passedOver = [
  ["<!--", "-->"],
  ["<![CDATA[", "]]>"],
  ["<?", "?>"],
  ["<!", ">"],
] as const;

/** Names in "url(#name)". */
const referred = (value: string): string[] => [...value.matchAll(/url\(\s*["']?#([^"')\s]*)/g)].map(([, id]) => id);

/** @throws DataError for references that lead back to themselves, and elements too deep in one another */
function measured(where: string, root: Element, { byId, ofStyles }: Reader): Drawing {
  for (const id of ofStyles) {
    const name = byId.get(id)?.name ?? "linearGradient";
    // any element may have them
    if (!/^(linear|radial)Gradient$/.test(name)) throw refused(where, `styles that refer to <${name}>`);
  }
  const known = new Map<Element, Drawing>();
  const measure = (element: Element, depth: number): Drawing => {
    withinLimit("svgDepth", depth, where, "elements of an SVG inside one another");
    const before = known.get(element);
    if (before) return before;
    const targets = element.references.flatMap((id) => byId.get(id) ?? []);
    const parts = [...element.children, ...targets].map((part) => measure(part, depth + 1));
    const drawing = {
      elements: parts.reduce((sum, part) => sum + part.elements, 1),
      depth: 1 + Math.max(0, ...parts.map((part) => part.depth)),
    };
    withinLimit("svgDepth", drawing.depth, where, "elements of an SVG inside one another");
    known.set(element, drawing);
    return drawing;
  };
  return measure(root, 0);
}
