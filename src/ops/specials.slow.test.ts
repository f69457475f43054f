/**
 * Every op at special numbers: folded and compiled graphs agree with each other and with PyTorch, but for a list of
 * reasoned exceptions.
 */
import { describe, expect, test } from "vitest";
import { DTypeError, ShapeError } from "../base/index.ts";
import { exceptions, sums } from "../testing/special-exceptions.ts";
import { answersOf, type Difference, differencesOf, readSpecials, type SpecialCase } from "../testing/specials.ts";

/** Of nothing PyTorch's split has one part, and its convolution no channels, where ours keep their number. */
const countsParts = new Set(["split", "conv", "convTranspose"]);
const cases = readSpecials().filter(
  ({ op, inputs }) => !countsParts.has(op) || inputs.every(({ shape }) => !shape.includes(0)),
);
const used = new Set<string>();

function excuseOf(difference: Difference): string | undefined {
  return exceptions.find(({ ops, applies }) => (!ops || ops.has(difference.op)) && applies(difference))?.cause;
}

const describeDifference = ({ what, between, got, wanted, attributes, inputs, dtype }: Difference) =>
  `${what} ${dtype}, ${between}: ${got} instead of ${wanted} for ${inputs.map((list) => list.slice(0, 8)).join(" | ")} ${JSON.stringify(attributes)}`;

/** What is wrong with a case; dtypes and sizes of 0 that an op refuses by name are fine. */
async function faultsOf(example: SpecialCase): Promise<string[]> {
  const where = `${example.inputs.map(({ dtype, shape }) => `${dtype}[${shape}]`)} ${JSON.stringify(example.attrs)}`;
  try {
    const answers = await answersOf(example);
    return differencesOf(example, answers, sums.has(example.op)).flatMap((difference) => {
      const excuse = excuseOf(difference);
      if (excuse) used.add(excuse);
      return excuse ? [] : [describeDifference(difference)];
    });
  } catch (error) {
    if (error instanceof DTypeError) return [];
    if (error instanceof ShapeError && example.inputs.some(({ shape }) => shape.includes(0))) return [];
    return [`${where}: ${(error as Error).message}`];
  }
}

describe.each([...new Set(cases.map(({ op }) => op))])("%s", (op) => {
  test("folded, compiled and PyTorch agree", async () => {
    const faults: string[] = [];
    for (const example of cases.filter((other) => other.op === op)) faults.push(...(await faultsOf(example)));
    expect(faults.slice(0, 8), op).toEqual([]);
  });
});

test("each exception is one", () => {
  expect(exceptions.map(({ cause }) => cause).filter((cause) => !used.has(cause))).toEqual([]);
});
