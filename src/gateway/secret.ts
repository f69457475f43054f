import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { OptionError } from "../base/index.ts";

/** Where secrets come from. */
export interface SecretSources {
  /** Of `${NAME}`. */
  environment: Readonly<Record<string, string | undefined>>;
  /** That "file:..." is relative to. */
  folder: string;
}

/** A text that nothing prints: neither JSON, nor a template, nor Node's inspection shows more than that it is there. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text, for the one place that sends it. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[secret]";
  }
}

const reference = /^\$\{([A-Za-z_]\w*)\}$/;
const FILE = "file:";

/** Whether a text of the configuration names a secret. */
export const isReference = (text: string): boolean => reference.test(text) || text.startsWith(FILE);

/**
 * The secret that `${NAME}` or "file:path" names.
 * @throws OptionError for a secret that stands in the configuration itself, and for one that is not there; neither is
 *   shown
 */
export function readSecret(where: string, text: string, { environment, folder }: SecretSources): Secret {
  const name = reference.exec(text)?.[1];
  if (name !== undefined) {
    const value = environment[name]?.trim();
    if (value) return new Secret(value);
    throw new OptionError({
      where,
      expected: `the environment variable ${name}`,
      received: value === undefined ? "none" : "an empty one",
      fix: `set ${name} before the gateway starts`,
    });
  }
  if (text.startsWith(FILE)) return readSecretFile(where, resolve(folder, text.slice(FILE.length)));
  throw new OptionError({
    where,
    expected: `a reference to a secret, as \${NAME} or file:path`,
    received: "a text that may be the secret itself",
    fix: "move it into an environment variable or a file of its own, and name that here",
  });
}

function readSecretFile(where: string, path: string): Secret {
  const fail = (received: string, cause?: unknown) =>
    new OptionError({
      where,
      expected: `a secret in ${path}`,
      received,
      fix: "write the file, or correct its name",
      cause,
    });
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (cause) {
    throw fail((cause as NodeJS.ErrnoException).code ?? "no file", cause);
  }
  if (text === "") throw fail("an empty file");
  return new Secret(text);
}

/** Takes secrets out of what others wrote, such as the message of an upstream that repeats its key. */
export function redacted(text: string, secrets: readonly Secret[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret.reveal(), "[secret]"), text);
}
