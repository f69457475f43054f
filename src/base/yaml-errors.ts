import { DataError } from "./errors.ts";

/**
 * What a parser of YAML gives; whatever it throws, for too many aliases no error of its own, is a DataError with the
 * first line of what it says.
 * @param where for messages
 */
export function withYamlErrors<T>(
  where: string,
  parse: () => T,
  { expected = "YAML", fix = "correct the line" }: { expected?: string; fix?: string } = {},
): T {
  try {
    return parse();
  } catch (cause) {
    const [received] = (cause as Error).message.split("\n");
    throw new DataError({ where, expected, received, fix, cause });
  }
}
