/** `kindling init`: a config to begin with. */
import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { OptionError } from "../base/index.ts";
import { withWriteErrors } from "../files/index.ts";

/** Declares the command. */
export function addInit(program: Command): void {
  program
    .command("init")
    .argument("[method]", "what to train for: sft, classification ...")
    .description("Write a commented config for a method of training, for kindling train.")
    .option("--output <file>", "file to write (default: <method>.yaml; - prints it)")
    .option("--list", "tell what each method is for")
    .option("--schema", "print the JSON Schema of the method's config, for editors")
    .addHelpText(
      "after",
      "\nExamples:\n  kindling init --list\n  kindling init sft\n  kindling train sft.yaml --dry-run",
    )
    .action((method: string | undefined, o) => initCommand(method, o));
}

interface InitFlags {
  output?: string;
  list?: boolean;
  schema?: boolean;
}

async function initCommand(name: string | undefined, { output, list, schema }: InitFlags): Promise<void> {
  const { methodNamed, methods } = await import("../methods/index.ts");
  if (list || name === undefined) {
    const width = Math.max(...[...methods.keys()].map(({ length }) => length)) + 2;
    for (const { name: each, summary } of methods.values()) process.stdout.write(`${each.padEnd(width)}${summary}\n`);
    if (!list) process.stdout.write("\nkindling init <method> writes a config.\n");
    return;
  }
  const method = methodNamed(name, methods, "init");
  if (schema) {
    process.stdout.write(`${JSON.stringify(method.jsonSchema(), undefined, 2)}\n`);
    return;
  }
  if (output === "-") {
    process.stdout.write(method.template);
    return;
  }
  const path = output ?? `${name}.yaml`;
  await withWriteErrors(path, () => writeFile(path, method.template, { flag: "wx" })).catch((error) => {
    if ((error.cause as NodeJS.ErrnoException | undefined)?.code !== "EEXIST") throw error;
    throw new OptionError({
      where: `init ${path}`,
      expected: "a file that is not there yet",
      received: "one that is",
      fix: "choose another --output",
      cause: error,
    });
  });
  process.stdout.write(`wrote ${path}; change it, then: kindling train ${path} --dry-run\n`);
}
