import { plain } from "./foreign.ts";
import { Float, floatText, iterate, str, TemplateError, Tuple, typeName, Undefined, type Value } from "./values.ts";

export interface JsonOptions {
  indent: number | string | null;
  separators: readonly [string, string] | null;
  sortKeys: boolean;
  ensureAscii: boolean;
}

/** json.dumps of Python. @throws TemplateError for what JSON has no form of */
export function dumps(value: Value, options: JsonOptions): string {
  const { indent } = options;
  const [item, key] = options.separators ?? [indent === null ? ", " : ",", ": "];
  const step = indent === null ? null : typeof indent === "number" ? " ".repeat(indent) : indent;
  const write = (child: Value, depth: string): string => {
    if (child === null) return "null";
    if (typeof child === "boolean") return child ? "true" : "false";
    if (typeof child === "string") return text(child, options.ensureAscii);
    if (typeof child === "number") return str(child);
    if (child instanceof Float) return floatText(child.value).replace("inf", "Infinity").replace("nan", "NaN");
    const inner = step === null ? "" : depth + step;
    const wrap = (parts: readonly string[], open: string, close: string) => {
      if (parts.length === 0) return open + close;
      return step === null
        ? open + parts.join(item) + close
        : `${open}\n${inner}${parts.join(`${item}\n${inner}`)}\n${depth}${close}`;
    };
    if (Array.isArray(child) || child instanceof Tuple)
      return wrap(
        iterate(child).map((part) => write(part, inner)),
        "[",
        "]",
      );
    if (child instanceof Map) {
      const entries = [...child];
      if (options.sortKeys) entries.sort(([a], [b]) => (plain(str(a)) < plain(str(b)) ? -1 : 1));
      return wrap(
        entries.map(([name, part]) => text(keyText(name), options.ensureAscii) + key + write(part, inner)),
        "{",
        "}",
      );
    }
    throw new TemplateError(
      `Object of type ${child instanceof Undefined ? "Undefined" : typeName(child)} is not JSON serializable`,
    );
  };
  return write(value, "");
}

const keyText = (key: Value): string => (typeof key === "boolean" ? String(key) : key === null ? "null" : str(key));

/** JSON of a string; Python leaves U+007F and lone halves of pairs alone, JavaScript escapes those. */
function text(value: string, ensureAscii: boolean): string {
  const json = JSON.stringify(value).replace(/[\ufdd0-\ufdef]/g, (sign) =>
    /["\\]/.test(plain(sign)) ? `\\${sign}` : sign,
  );
  return ensureAscii
    ? json.replace(/[\u007f-\ufdcf\ufdf0-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : json;
}
