import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { defineConfig } from "vitest/config";

// a GPU in software, which Debian's chromium brings; the tests run in child processes that inherit this
const softwareGpu = "/usr/lib/chromium/vk_swiftshader_icd.json";
if (existsSync(softwareGpu)) {
  process.env.VK_ICD_FILENAMES ??= softwareGpu;
  process.env.LD_LIBRARY_PATH ??= dirname(softwareGpu);
}

process.env.KINDLING_CACHE = "off"; // tests of the cache bring their own folder

export default defineConfig({
  // "#system" and the like lead to the sources (package.json, "imports"); "module", which Vite adds by itself, is for
  // bundlers: what a package has there, Node may not be able to load (@opentelemetry/api)
  ssr: { resolve: { conditions: ["kindling-source", "node", "development|production"] } },
  test: {
    include: ["src/**/*.test.ts"],
    exclude: ["**/*.slow.test.ts"], // what needs minutes: npm run test:slow
    pool: "forks",
    // much of a test is one thread that traces and compiles: two files at a time took 0.64 of the time on two cores;
    // more would compete for the memory that some fill
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
