/** Whether `npm start` sees that everything is installed already. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";

const { isInstalled } = (await import(new URL("../../scripts/installed.mjs", import.meta.url).href)) as {
  isInstalled: (root: string) => boolean;
};
const roots: string[] = [];
let root: string;
const entry = (version: string, more: object = {}) => ({ version, integrity: `sha512-${version}`, ...more });
const wanted = {
  "": { optionalDependencies: { native: "1.0.0" } },
  "node_modules/a": entry("1.0.0"),
  "node_modules/a/node_modules/b": entry("2.0.0", { dev: true }),
  "node_modules/native": entry("1.0.0", { optional: true }),
  "node_modules/of-another-system": entry("1.0.0", { optional: true }),
};
type Packages = Record<string, object>;

async function write(path: string, content: object | string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), typeof content === "string" ? content : JSON.stringify(content));
}
/** What npm ci leaves on this system. */
async function install(changes: Packages = {}): Promise<void> {
  const { "": _, "node_modules/of-another-system": __, ...packages } = { ...wanted, ...changes } as Packages;
  await write("node_modules/.package-lock.json", { packages });
  for (const path of Object.keys(packages)) await write(`${path}/package.json`, "{}");
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  roots.push(root);
  await write("package-lock.json", { packages: wanted });
});
afterAll(() => Promise.all(roots.map((path) => rm(path, { recursive: true }))));

test("after npm ci nothing is missing", async () => {
  expect(isInstalled(root)).toBe(false);
  await install();
  expect(isInstalled(root)).toBe(true);
});

test("another version, other content, a folder that is gone, or an install that was cut off is not complete", async () => {
  await install({ "node_modules/a": entry("1.0.1") });
  expect(isInstalled(root)).toBe(false);
  await install({ "node_modules/a": { version: "1.0.0", integrity: "sha512-other" } });
  expect(isInstalled(root)).toBe(false);
  for (const path of ["a/node_modules/b", "native"]) {
    await install();
    await rm(join(root, "node_modules", path), { recursive: true });
    expect(isInstalled(root)).toBe(false);
  }
  await install();
  await write("node_modules/.package-lock.json", '{"packages": {"node_mod');
  expect(isInstalled(root)).toBe(false);
});

test("without the optional packages that the root asks for, or those of development, it is not complete", async () => {
  for (const path of ["node_modules/native", "node_modules/a/node_modules/b"]) {
    const { [path as "node_modules/a"]: _, ...rest } = wanted;
    await write("node_modules/.package-lock.json", { packages: rest });
    expect(isInstalled(root)).toBe(false);
  }
});
