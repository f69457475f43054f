/** A value as Python's str gives it. */
export function pythonText(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Whether a text is digits alone. */
export const isDigits = (text: string): boolean => /^\p{Nd}+$/u.test(text);

/** A regular expression of Python's as JavaScript's. @throws SyntaxError for one that cannot be */
export function pythonRegex(pattern: string, flags: string): RegExp {
  const inline = /^\(\?([aimsux]+)\)/u.exec(pattern);
  const inlineFlags = [...(inline?.[1] ?? "")].filter((flag) => "ims".includes(flag)).join("");
  const body = pattern
    .slice(inline?.[0].length ?? 0)
    .replaceAll("(?P<", "(?<")
    .replace(/\(\?P=(\w+)\)/gu, "\\k<$1>")
    .replaceAll("\\A", "(?<![^])")
    .replaceAll("\\Z", "(?![^])");
  try {
    return new RegExp(body, `${flags}${inlineFlags}u`);
  } catch {
    // Python lets a backslash stand before what needs none, JavaScript only without the flag u
    return new RegExp(body, `${flags}${inlineFlags}`);
  }
}
