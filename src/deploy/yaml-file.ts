/** YAML of plain values, with comments. */
import { Document, isMap, isScalar, visit, type YAMLMap } from "yaml";

export interface YamlNote {
  /** Keys and indices on the way to a field. */
  path: readonly (string | number)[];
  comment: string;
}

const asComment = (text: string) =>
  text
    .split("\n")
    .map((line) => ` ${line}`)
    .join("\n");

/**
 * One document. Texts that some reader would take for something else, as on, 1.0 or ~, are quoted: readers of YAML 1.1
 * (Kubernetes) and 1.2 (Compose) see the same.
 */
export function yamlFile(value: object, comment: string, notes: readonly YamlNote[] = []): string {
  const document = new Document(value, { aliasDuplicateObjects: false, compat: "yaml-1.1" });
  for (const { path, comment: note } of notes) addNote(document, path, note);
  document.commentBefore = asComment(comment);
  quoteEmptyish(document);
  return document.toString({ lineWidth: 0 });
}

function addNote(document: Document, path: readonly (string | number)[], comment: string): void {
  const parent = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents;
  if (!isMap(parent)) throw new RangeError(`no mapping holds ${path.join(".")}`);
  const pair = (parent as YAMLMap).items.find(({ key }) => isScalar(key) && key.value === path.at(-1));
  if (!pair || !isScalar(pair.key)) throw new RangeError(`no field ${path.join(".")}`);
  pair.key.commentBefore = asComment(comment);
}

/** Forms that the compatibility of the package leaves plain although a reader of YAML 1.1 knows them. */
const AMBIGUOUS = /^(y|n|=|<<|[-+.]?[\d_][\d_.:eExXoObBa-fA-F+-]*)$/i;

function quoteEmptyish(document: Document): void {
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === "string" && AMBIGUOUS.test(node.value)) node.type = "QUOTE_DOUBLE";
    },
  });
}
