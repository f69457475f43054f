import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../..", import.meta.url));
/** Documents whose code blocks stand for themselves. */
const documents = [
  ...["README.md", "docs/serving.md", "docs/serving-models.md", "docs/models.md", "docs/choosing.md"],
  ...[
    "docs/evaluation.md",
    "docs/training.md",
    "docs/monitoring.md",
    "docs/tuning.md",
    "docs/augmentation.md",
    "docs/meta-learning.md",
  ],
];

export interface Block {
  /** Such as README-79. */
  name: string;
  code: string;
}

/** The code blocks of a text in a language, as matches whose first group is the code. */
export const codeBlocks = (text: string, language: string): RegExpExecArray[] => [
  ...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm")),
];

/** Code blocks of a language, named by document and line. */
export async function blocksOf(language: "ts" | "sh"): Promise<Block[]> {
  const blocks: Block[] = [];
  for (const document of documents) {
    const text = await readFile(join(repository, document), "utf8");
    for (const match of codeBlocks(text, language)) {
      const line = text.slice(0, match.index).split("\n").length;
      blocks.push({ name: `${document.replace(/\W+/g, "-").replace(/-md$/, "")}-${line}`, code: match[1] });
    }
  }
  return blocks;
}

/** Makes the built package, and some that it has itself, dependencies of the code in a folder. */
export async function linkPackages(folder: string, names: readonly string[]): Promise<void> {
  const link = async (target: string, name: string) => symlink(target, join(folder, "node_modules", name), "junction");
  await mkdir(join(folder, "node_modules"), { recursive: true });
  await link(repository, "kindling");
  for (const name of names) await link(join(repository, "node_modules", name), name);
}

/** A project of a user in an empty folder: the built package is its dependency, and TypeScript is strict. */
export async function makeProject(folder: string): Promise<void> {
  await linkPackages(folder, ["@types", "openai", "zod"]);
  const compilerOptions = {
    strict: true,
    noUncheckedIndexedAccess: true,
    target: "es2022",
    module: "nodenext",
    types: ["node"],
    skipLibCheck: true,
    noEmit: true,
  };
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "project", private: true, type: "module" }));
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
}

/** The words of a command line, without its comment; quotation marks hold words together. */
const wordsOf = (line: string): string[] =>
  [...line.replace(/\s#.*$/, "").matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain,
  );

/** What the documents call kindling with. */
export async function kindlingCommands(): Promise<string[][]> {
  const lines = (await blocksOf("sh")).flatMap(({ code }) => code.split("\n")).map(wordsOf);
  return lines.flatMap(([program, second, ...rest]) => {
    if (program === "npx" && second === "kindling") return [rest];
    return program === "npm" && second === "start" ? [["start", ...rest.filter((word) => word !== "--")]] : [];
  });
}
