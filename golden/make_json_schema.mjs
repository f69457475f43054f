/**
 * The tests of the JSON Schema Test Suite for drafts 2020-12 and 7, in one file. usage: node golden/make_json_schema.mjs
 * CHECKOUT, of https://github.com/json-schema-org/JSON-Schema-Test-Suite (MIT licence) at the commit below.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const COMMIT = "44401e0c046704b476ec9d2e2fccdaee618f259d";
const [checkout] = process.argv.slice(2);
const show = (...args) => execFileSync("git", ["-C", checkout, ...args], { encoding: "utf8", maxBuffer: 2 ** 26 });

const suite = { source: "JSON-Schema-Test-Suite", commit: COMMIT, licence: show("show", `${COMMIT}:LICENSE`), drafts: {} };
for (const draft of ["draft2020-12", "draft7"]) {
  const files = show("ls-tree", "-r", "--name-only", COMMIT, `tests/${draft}`).trim().split("\n");
  const kept = files.filter((file) => !file.includes("/optional/") || file.includes("/optional/format/"));
  suite.drafts[draft] = Object.fromEntries(
    kept.map((file) => [
      file.slice(`tests/${draft}/`.length, -".json".length),
      JSON.parse(show("show", `${COMMIT}:${file}`)).map(({ description, schema, tests }) => ({
        description,
        schema,
        tests: tests.map(({ description: of, data, valid }) => ({ description: of, data, valid })),
      })),
    ]),
  );
}
writeFileSync(new URL("json-schema.json.gz", import.meta.url), gzipSync(JSON.stringify(suite), { level: 9 }));
