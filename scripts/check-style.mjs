// @ts-check
/**
 * What the formatter cannot mend: files of more than 400 lines, lines over 120 columns, and names that say nothing. A
 * line may be longer where it is so by one string, regular expression or address, which has no place to be broken.
 * Generated files are free.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import ts from "typescript";

const MOST_LINES = 400;
const MOST_COLUMNS = 120;
const emptyNames = new Set(["own", "found", "made", "given"]);
const generated = new Set(["src/lower/onnx-pb.ts"]);
/**
 * Where the literals of a file are, as offsets.
 * @param {ts.SourceFile} file
 */
function literalsOf(file) {
  /** @type {[number, number][]} */
  const ranges = [];
  /** @param {ts.Node} node */
  const visit = (node) => {
    if (
      ts.isStringLiteral(node) ||
      ts.isRegularExpressionLiteral(node) ||
      ts.isNoSubstitutionTemplateLiteral(node) ||
      ts.isTemplateExpression(node)
    )
      ranges.push([node.getStart(file), node.getEnd()]);
    else ts.forEachChild(node, visit);
  };
  visit(file);
  return ranges;
}

/**
 * The columns of a line without its longest literal, or its longest word.
 * @param {string} line
 * @param {number} start
 * @param {[number, number][]} literals
 */
function breakableColumns(line, start, literals) {
  const end = start + line.length;
  const inLine = literals.map(([from, to]) => Math.min(to, end) - Math.max(from, start));
  const words = line.split(/\s+/).map(({ length }) => length);
  return line.length - Math.max(...inLine, ...words);
}

/**
 * The empty names that a file declares: of bindings, parameters, functions and properties. To read a property is free.
 * @param {ts.SourceFile} file
 */
function emptyNamesOf(file) {
  /** @type {(ts.Identifier | ts.PrivateIdentifier)[]} */
  const identifiers = [];
  /** @param {ts.Node} node */
  const visit = (node) => {
    const { name } = /** @type {{ name?: ts.Node }} */ (node);
    const isName = name && (ts.isIdentifier(name) || ts.isPrivateIdentifier(name));
    if (isName && emptyNames.has(name.text.replace("#", "")) && !ts.isPropertyAccessExpression(node))
      identifiers.push(name);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return identifiers;
}

/** @param {string} path */
function faultsOf(path) {
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n");
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  const faults = emptyNamesOf(file).map((name) => {
    const { line } = file.getLineAndCharacterOfPosition(name.getStart(file));
    return `${path}:${line + 1}: the name ${name.text} says nothing; take the field's word for what the value is`;
  });
  const count = text.endsWith("\n") ? lines.length - 1 : lines.length;
  if (count > MOST_LINES) faults.push(`${path}: ${count} lines; split it by its ideas`);
  if (lines.every(({ length }) => length <= MOST_COLUMNS)) return faults;
  const literals = literalsOf(file);
  let start = 0;
  for (const [i, line] of lines.entries()) {
    // half a line of code around a literal is enough to break it in front of the literal
    if (line.length > MOST_COLUMNS && breakableColumns(line, start, literals) > MOST_COLUMNS / 2)
      faults.push(`${path}:${i + 1}: ${line.length} columns`);
    start += line.length + 1;
  }
  return faults;
}

/** Sources that git tracks, or would. */
function sources() {
  const command = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const isSource = /^(src|bench|scripts)\/.*\.(ts|mjs)$|^[^/]+\.ts$/;
  return execFileSync("git", command, { encoding: "utf8" })
    .split("\0")
    .filter((path) => isSource.test(path) && existsSync(path) && !generated.has(path));
}

const faults = sources().flatMap(faultsOf);
for (const fault of faults) console.log(fault);
process.exitCode = faults.length > 0 ? 1 : 0;
