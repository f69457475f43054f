// Prints the failed tests of a report of vitest (--reporter=json): file, name, the first lines of its message.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

/** @typedef {{ status: string, fullName: string, failureMessages: string[] }} Test */
/** @type {{ testResults: { name: string, status: string, message: string, assertionResults: Test[] }[] }} */
let report;
try {
  report = JSON.parse(readFileSync(process.argv[2], "utf8"));
} catch {
  console.log("no report was written");
  process.exit(0);
}
/** @param {string | undefined} text */
const firstLines = (text) => (text ?? "").split("\n").slice(0, 3).join(" ").slice(0, 400);
for (const file of report.testResults) {
  const name = relative(process.cwd(), file.name);
  const failed = file.assertionResults.filter((test) => test.status === "failed");
  for (const test of failed) console.log(`${name}: ${test.fullName}: ${firstLines(test.failureMessages[0])}`);
  if (file.status === "failed" && failed.length === 0) console.log(`${name}: ${firstLines(file.message)}`);
}
