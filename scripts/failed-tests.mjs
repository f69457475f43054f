// Prints the failed tests of a report of vitest (--reporter=json): the file, the test's name, its message's first lines.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

let report;
try {
  report = JSON.parse(readFileSync(process.argv[2], "utf8"));
} catch {
  console.log("no report was written");
  process.exit(0);
}
const firstLines = (text) => (text ?? "").split("\n").slice(0, 3).join(" ").slice(0, 400);
for (const file of report.testResults) {
  const name = relative(process.cwd(), file.name);
  const failed = file.assertionResults.filter((test) => test.status === "failed");
  for (const test of failed) console.log(`${name}: ${test.fullName}: ${firstLines(test.failureMessages[0])}`);
  if (file.status === "failed" && failed.length === 0) console.log(`${name}: ${firstLines(file.message)}`);
}
