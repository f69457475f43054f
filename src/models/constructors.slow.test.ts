/** Every class of docs/models.md is made of a camelCase config, saved, and opened as what it was. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { classes, expectReopened } from "../testing/tiny-classes.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each(classes)("$name", (each) => expectReopened(each, join(folder, each.name)));
