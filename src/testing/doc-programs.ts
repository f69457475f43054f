/** Programs of the pages in docs/, run as they stand. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { transform } from "esbuild";
import { expect } from "vitest";
import { codeBlocks, repository } from "./readme-blocks.ts";

/** A page of docs/. */
interface DocPage {
  text: string;
  /** Its code blocks of a language. */
  blocks(language: string): string[];
}

/** Reads a page, such as "tuning.md". */
export async function docPage(name: string): Promise<DocPage> {
  const text = await readFile(join(repository, "docs", name), "utf8");
  return { text, blocks: (language) => codeBlocks(text, language).map(([, code]) => code) };
}

/**
 * Runs a block as a module would be run, with what it imports from `modules`, or from elsewhere; each name must be
 * there. Gives what it wrote by console.log.
 */
export async function runBlock(
  code: string,
  modules: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): Promise<unknown[][]> {
  const imports = /^import \{([^}]*)\} from "([^"]*)";$/gm;
  const logged: unknown[][] = [];
  const scope: Record<string, unknown> = {
    console: { ...console, log: (...values: unknown[]) => logged.push(values) },
  };
  for (const [, list, from] of code.matchAll(imports)) {
    const names = list.split(",").map((word) => word.trim());
    const values = names.filter((name) => name && !name.startsWith("type "));
    if (values.length === 0) continue;
    const module = modules[from] ?? (await import(from));
    for (const name of values) {
      expect(module, name).toHaveProperty(name);
      scope[name] = module[name];
    }
  }
  const { code: body } = await transform(code.replace(imports, ""), {
    loader: "ts",
    tsconfigRaw: { compilerOptions: {} },
  });
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  await new AsyncFunction(...Object.keys(scope), body)(...Object.values(scope));
  return logged;
}
