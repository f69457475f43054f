/** What scripts/gpu-check takes along, and how it reports. */
import { expect, test } from "vitest";

const script = (name: string) => import(new URL(`../../scripts/gpu-check/${name}`, import.meta.url).href);
const { isNeeded, packageOf } = (await script("pack.mjs")) as {
  isNeeded: (path: string) => boolean;
  packageOf: (path: string) => string | undefined;
};
const { keepArchitecture } = (await script("fatbin.mjs")) as {
  keepArchitecture: (library: Buffer, architecture: number) => void;
};
const { markdownOf } = (await script("report.mjs")) as { markdownOf: (report: object) => string };
const { plan } = (await script("plan.mjs")) as { plan: { name: string; limitSeconds: number; isTimed: boolean }[] };

test("of the packages only what runs on Linux x64 is taken", () => {
  const all = [
    "",
    "/linux",
    "/linux/x64",
    "/linux/x64/libonnxruntime.so.1",
    "/linux/arm64",
    "/darwin",
    "/win32/x64/a.dll",
  ];
  const binaries = all.map((path) => `bin/napi-v6${path}`);
  expect(binaries.filter(isNeeded)).toEqual(binaries.slice(0, 4));
  const others = ["lib/a.js", "src/koffi/index.js", "package.json", "lib/a.d.ts", "docs/x.js", "README.md", "a.js.map"];
  expect(others.filter(isNeeded)).toEqual(others.slice(0, 3));
});

test("files belong to the innermost package", () => {
  expect(packageOf("../node_modules/zod/v4/index.js")).toBe("zod");
  expect(packageOf("node_modules/@bufbuild/protobuf/dist/esm/index.js")).toBe("@bufbuild/protobuf");
  expect(packageOf("node_modules/a/node_modules/b/c.js")).toBe("b");
  expect(packageOf("dist/index.js")).toBeUndefined();
});

test("kernels for other cards become zeros, and all else of a library stays", () => {
  const entry = (kind: number, architecture: number, body: number) => {
    const bytes = Buffer.alloc(64 + 8, body);
    bytes.fill(0, 0, 64);
    bytes.writeUInt16LE(kind, 0);
    bytes.writeUInt32LE(64, 4);
    bytes.writeBigUInt64LE(8n, 8);
    bytes.writeUInt32LE(architecture, 28);
    return bytes;
  };
  const entries = Buffer.concat([entry(2, 80, 1), entry(2, 90, 2), entry(1, 90, 3)]);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(0xba55ed50, 0);
  header.writeUInt16LE(1, 4);
  header.writeUInt16LE(16, 6);
  header.writeBigUInt64LE(BigInt(entries.length), 8);
  const library = Buffer.concat([Buffer.alloc(5, 9), header, entries, Buffer.alloc(5, 9)]);
  keepArchitecture(library, 90);
  const bodies = [0, 1, 2].map((i) => library[5 + 16 + 72 * i + 64]);
  expect(bodies).toEqual([0, 2, 0]);
  expect([library[0], library[library.length - 1]]).toEqual([9, 9]);
});

test("the report has a row for each part, and the tables of those that have run", () => {
  const machine = { date: "today", processor: "x", cores: 16, memoryGiB: 64, node: "v20", nvidiaSmi: "H100" };
  const vulkan = { drivers: [], notes: [], missing: ["the loader"] };
  const parts = plan.map(({ name }) => ({ name, state: "not run", reason: "no card" }) as Record<string, unknown>);
  const golden = { sin: { passed: 1, failed: 1, largest: 0.25, failures: ["case 3: wrong"] } };
  Object.assign(parts.find(({ name }) => name === "golden f32 1/4") as object, {
    state: "out of time",
    reason: undefined,
    seconds: 100,
    result: { dtype: "f32", share: "1/4", cases: 3, passed: 1, failed: 1, devices: 1, ops: golden },
  });
  const decode = { kind: "f16", prefillTokensPerSecond: 1000, decodeTokensPerSecond: 50, cardMiB: 2100 };
  Object.assign(parts.find(({ name }) => name === "decode f16") as object, { state: "done", result: decode });
  const text = markdownOf({ provider: "webgpu", machine, vulkan, isSmallest: false, parts });
  expect(text).toContain("| missing | the loader |");
  expect(text).toContain("| golden f32 1/4 | out of time | 100 |  |");
  expect(text).toContain("| f32 | 1/4 | 3 | 1 | 1 | 1 | no | 1 |");
  expect(text).toContain("| sin | f32 | 1 | 1 | case 3: wrong |");
  expect(text).toContain("| Kindling f16 | 1000 | 50.0 | 2100 |  |");
  for (const { name } of plan) expect(text).toContain(`| ${name} | `);
});

test("parts have limits, and those that measure time come after those that do not", () => {
  expect(plan.every(({ limitSeconds }) => limitSeconds > 0 && limitSeconds <= 150)).toBe(true);
  const timed = plan.slice(1).map(({ isTimed }) => isTimed);
  expect(timed.lastIndexOf(false)).toBeLessThan(timed.indexOf(true));
});
