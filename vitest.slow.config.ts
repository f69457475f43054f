import { defineConfig } from "vitest/config";
import config from "./vitest.config.ts";

process.env.KINDLING_WEBGPU_CASES ??= "2";

/**
 * Tests that need minutes: fuzzers, processes that are killed, memory, all operations on all special numbers, more of
 * the golden cases on a GPU in software.
 */
export default defineConfig({
  ...config,
  test: { ...config.test, include: ["src/**/*.slow.test.ts", "src/ops/webgpu.test.ts"], exclude: [] },
});
