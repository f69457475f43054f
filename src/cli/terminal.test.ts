import { expect, test } from "vitest";
import { drawCurve, ProgressLine } from "./terminal.ts";

const points = Array.from({ length: 500 }, (_, i) => ({ step: i + 1, loss: 5 - i / 200 }));
const widthOf = (chart: string) => Math.max(...chart.split("\n").map((line) => line.length));

test.each([200, 80, 60, 40, 30])("the chart fits %i columns", (columns) => {
  const chart = drawCurve(points, { columns });
  expect(widthOf(chart)).toBeLessThanOrEqual(Math.min(columns, 75));
  expect(chart).toContain("step 1");
  expect(chart).toContain("step 500");
});

test("progress in a narrow terminal leaves out the least, not what comes last", () => {
  let shown = "";
  const write = (text: string) => {
    shown += text;
  };
  const stream = { isTTY: true, columns: 40, write } as unknown as NodeJS.WriteStream;
  new ProgressLine(stream).show("step 1/900  loss 4.5  9986 tokens/s  2 min left", "step 1/900  loss 4.5  2 min left");
  expect(shown).toMatch(/loss 4\.5 {2}2 min left$/);
});
