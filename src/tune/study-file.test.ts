/** Studies in YAML: what they say, and what is refused. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readStudyFile, studyCsv } from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

const SPACE = "space: { rate: { type: float, low: 0.1, high: 1 }, layers: [1, 2] }\n";
async function read(text: string, name = "study.yaml") {
  const path = join(root, name);
  await writeFile(path, text);
  return readStudyFile(path, { kindling: ["node", "main.js"] });
}
const facts = { folder: "runs/0000", threads: 2 };

test("a config is a training whose run is in the trial's folder", async () => {
  const { name, options, example } = await read(
    `${SPACE}config: train.yaml\nmetric: validationLoss\noverrides: { epochs: 2 }\nbudget: steps\n` +
      "sampler: { type: halving, maxBudget: 9, sampler: { type: tpe, seed: 3 } }\npruner: { type: asha, reduction: 3 }\n" +
      "direction: maximize\ntrials: 7\nconcurrency: 2\ntimeoutSeconds: 60\n",
    "wide.yaml",
  );
  expect(name).toBe("wide");
  expect(options).toMatchObject({ direction: "maximize", trials: 7, concurrency: 2, timeoutMs: 60_000 });
  expect([options.sampler.name, options.pruner?.name]).toEqual(["halving", "asha"]);
  const words = example(facts);
  expect(words.slice(0, 4)).toEqual(["node", "main.js", "train", join(root, "train.yaml")]);
  expect(words.slice(4)).toEqual([
    expect.stringMatching(/^rate=0\.\d+$/),
    expect.stringMatching(/^layers=[12]$/),
    "epochs=2",
    "steps=1",
    "output=runs/0000/run",
  ]);
});

test("a command is a list or words, in which kindling is this program", async () => {
  const { example } = await read(`${SPACE}command: [python, train.py, "--rate={rate}", "{layers}"]\nmetric: loss\n`);
  expect(example(facts)).toEqual([
    "python",
    "train.py",
    expect.stringMatching(/^--rate=0\.\d+$/),
    expect.stringMatching(/^[12]$/),
  ]);
  const words = await read(`${SPACE}command: kindling train --lr {rate} --runs {folder}\nmetric: loss\n`);
  expect(words.example(facts).slice(0, 4)).toEqual(["node", "main.js", "train", "--lr"]);
});

test.each([
  ["spce: {}\n", /study\.yaml: expected one of the options.*did you mean "space"/],
  [SPACE, /one of run, command and config; received \[\]/],
  [`${SPACE}run: a.mjs\nconfig: b.yaml\n`, /one of run, command and config; received \["run","config"\]/],
  [`${SPACE}run: a.mjs\nsampler: tpee\n`, /sampler: expected one of .*did you mean "tpe"/],
  [`${SPACE}run: a.mjs\nsampler: { type: tpe, sed: 1 }\n`, /did you mean "seed"/],
  [`${SPACE}run: a.mjs\npruner: { type: median, interval: 0 }\n`, /interval to be a positive integer/],
  [`${SPACE}run: a.mjs\nmetric: loss\n`, /metric: expected a command or a config that it is for/],
  [`${SPACE}command: a\n`, /metric: expected the name of a number/],
  [`${SPACE}command: a {rat}\nmetric: loss\n`, /did you mean \{rate\}/],
  [`${SPACE}command: a\nmetric: loss\nbudget: steps\n`, /budget: expected a config that it is for/],
  [`${SPACE}command: a\nmetric: loss\nvalue: first\n`, /value last, smallest or largest/],
  [`${SPACE}run: a.mjs\nname: ../x\n`, /name: expected letters, digits/],
  ["space: [1\n", /study\.yaml: expected YAML/],
  ["", /expected fields such as space/],
])("a study that cannot be is refused: %j", async (text, message) => expect(read(text)).rejects.toThrow(message));

test("a file that is not there is said", async () =>
  expect(readStudyFile(join(root, "none.yaml"))).rejects.toThrow(
    /none\.yaml: expected a study in YAML; received nothing there/,
  ));

test("a table of trials has a cell for each, in quotes where it needs them", () => {
  const text = studyCsv({
    ...{ folder: "x", direction: "minimize", space: { kind: { type: "choice", values: ["a,b", "c"] } } },
    trials: [
      {
        number: 0,
        state: "complete",
        values: { kind: "a,b" },
        attempts: 1,
        reports: [{ step: 3, value: 1 }],
        value: 1,
        metrics: { f1: 0.5 },
        startTime: 0,
        endTime: 1500,
      },
      {
        number: 1,
        state: "failed",
        values: { kind: "c" },
        attempts: 2,
        reports: [],
        error: 'no "x"\nthere',
        startTime: 0,
        endTime: 2000,
      },
    ],
  });
  expect(text).toBe(
    "trial,state,value,budget,values.kind,metrics.f1,steps,attempts,start,seconds,error\n" +
      '0,complete,1,,"a,b",0.5,3,1,1970-01-01T00:00:00.000Z,1.5,\n' +
      '1,failed,,,c,,,2,1970-01-01T00:00:00.000Z,2,"no ""x""\nthere"\n',
  );
});
