/** The files of the page, which are read when an app is made, and not for each who asks. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { afterEach, expect, test, vi } from "vitest";
import { tinyServedModel } from "../../testing/served-model.ts";
import { createApp } from "../index.ts";

afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

test("whoever asks for the page has nothing read", async () => {
  const reads = [vi.spyOn(fs, "readdirSync"), vi.spyOn(fs, "readFileSync")];
  syncBuiltinESMExports();
  const app = createApp(tinyServedModel());
  expect(reads.every(({ mock }) => mock.calls.length > 0)).toBe(true);
  await app.request("/"); // the model is there
  for (const read of reads) read.mockClear();
  for (const path of ["/", "/page.css", "/page/main.mjs", "/docs"]) expect((await app.request(path)).status).toBe(200);
  expect(reads.map(({ mock }) => mock.calls)).toEqual([[], []]);
});
