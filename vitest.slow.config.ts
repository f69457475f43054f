import { defineConfig } from "vitest/config";
import config from "./vitest.config.ts";

/** Tests that need minutes: fuzzers, processes that are killed, memory, all operations on all special numbers. */
export default defineConfig({ ...config, test: { ...config.test, include: ["src/**/*.slow.test.ts"], exclude: [] } });
