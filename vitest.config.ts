import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts"],
    // one process at a time: each test file starts a device that uses all cores
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
