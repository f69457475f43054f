import type { z } from "zod";
import { listedNames, nearest, OptionError } from "./errors.ts";
import { isObject } from "./is-object.ts";

interface Definition {
  innerType?: z.core.$ZodType;
  /** What preprocessing comes before. */
  out?: z.core.$ZodType;
  /** Of a union. */
  options?: readonly z.core.$ZodType[];
  shape?: Record<string, z.core.$ZodType>;
  element?: z.core.$ZodType;
  valueType?: z.core.$ZodType;
}

/** What a value may be: of a union each of its forms. */
function formsOf(type: z.core.$ZodType | undefined): Definition[] {
  if (!type) return [];
  const definition = type._zod.def as Definition;
  const inner = definition.innerType ?? definition.out;
  if (inner) return formsOf(inner);
  return definition.options ? definition.options.flatMap(formsOf) : [definition];
}

/** The fields of the objects that an unknown field may be in. */
function knownFields(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  let forms = formsOf(schema);
  for (const part of path)
    forms = forms.flatMap(({ shape, element, valueType }) => formsOf(shape?.[String(part)] ?? element ?? valueType));
  return [...new Set(forms.flatMap(({ shape }) => Object.keys(shape ?? {})))];
}

const placeOf = (path: readonly PropertyKey[]) =>
  path.reduce<string>(
    (text, part) =>
      `${text}${typeof part === "number" ? `[${part}]` : text && "."}${typeof part === "number" ? "" : String(part)}`,
    "",
  );

/** The first of the issues, and of those of a union the one of the form that comes nearest. */
function firstIssue(issues: readonly z.core.$ZodIssue[], path: readonly PropertyKey[] = []): z.core.$ZodIssue {
  // a name that is mistyped is also one that is missing
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  const whole = { ...issue, path: [...path, ...issue.path] };
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return whole;
  const deepest = [...issue.errors].sort((a, b) => (b[0]?.path.length ?? 0) - (a[0]?.path.length ?? 0))[0];
  return deepest.length > 0 ? firstIssue(deepest, whole.path) : whole;
}

/**
 * A value by its schema. Values are not shown, for they may be secrets.
 * @param docs the page that describes the fields, for messages
 * @throws OptionError naming the field, and the nearest one to a field that is unknown
 */
export function checkSchema<S extends z.ZodType>(where: string, schema: S, value: unknown, docs: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = firstIssue(parsed.error.issues);
  const place = placeOf(issue.path);
  const at = place === "" ? where : `${where}, ${place}`;
  if (issue.code === "unrecognized_keys") {
    const [field] = issue.keys;
    const fields = knownFields(schema, issue.path);
    const near = nearest(field, fields);
    throw new OptionError({
      where: at,
      expected: fields.length > 0 ? `one of the fields ${listedNames(field, fields)}` : "no such field",
      received: `"${field}"`,
      fix: near ? `did you mean "${near}"?` : `remove "${field}"; ${docs} lists the fields`,
    });
  }
  const received = issue.path.reduce<unknown>(
    (inner, part) => (isObject(inner) || Array.isArray(inner) ? (inner as never)[part] : undefined),
    value,
  );
  const fix = `correct the field; ${docs} describes it`;
  if (issue.code === "invalid_value" && typeof received === "string") {
    const values = issue.values.map(String);
    const near = nearest(received, values);
    throw new OptionError({
      where: at,
      expected: `one of ${listedNames(received, values)}`,
      received: "another text",
      fix: near ? `did you mean "${near}"?` : fix,
    });
  }
  throw new OptionError({
    where: at,
    expected: issue.message
      .replace(/^Invalid (input|option): /, "")
      .replace(/^expected /, "")
      .replace(/, received .*$/, ""),
    received: kindOf(received),
    fix,
  });
}

function kindOf(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  if (value === undefined) return "nothing";
  return Array.isArray(value) ? "a list" : typeof value === "string" ? "a text" : "an object";
}
