// Prints of a report of vitest (--reporter=json) how many tests passed, then a line for each that failed: file, name,
// the first lines of its message.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

/** @typedef {{ status: string, fullName: string, failureMessages: string[] }} Test */
/** @typedef {{ name: string, status: string, message: string, assertionResults: Test[] }} TestFile */
/** @type {{ numPassedTests: number, testResults: TestFile[] }} */
let report;
try {
  report = JSON.parse(readFileSync(process.argv[2], "utf8"));
} catch {
  console.log("0\nno report was written");
  process.exit(0);
}
/** @param {string | undefined} text */
const firstLines = (text) => (text ?? "").split("\n").slice(0, 3).join(" ").slice(0, 400);
console.log(report.numPassedTests);
for (const file of report.testResults) {
  const name = relative(process.cwd(), file.name);
  const failed = file.assertionResults.filter((test) => test.status === "failed");
  for (const test of failed) console.log(`${name}: ${test.fullName}: ${firstLines(test.failureMessages[0])}`);
  if (file.status === "failed" && failed.length === 0) console.log(`${name}: ${firstLines(file.message)}`);
}
