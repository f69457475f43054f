import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { estimateEnergy } from "../energy.ts";
import type { ModelCard } from "./description.ts";
import { modelCard, writeModelCard } from "./model-card.ts";

const seconds = 7200;
const hardware = { processor: "A | B", cores: 2, memoryBytes: 2 ** 34, system: "linux x64" };
const card: ModelCard = {
  name: "me/spam: yes",
  summary: "Tells spam from ham.",
  license: "apache-2.0",
  languages: ["en", "no"],
  baseModels: ["google-bert/bert-base-uncased"],
  baseModelRelation: "finetune",
  pipelineTag: "text-classification",
  tags: ["spam", "kindling"],
  method: "Classification",
  data: [
    { name: "SpamAssassin", license: "Apache-2.0", counts: { messages: 6047 }, sha256: "ab".repeat(32) },
    { name: "Enron", hubId: "me/enron" },
  ],
  config: { learningRate: 2e-5, clipNorm: 1, schedule: "cosine", text: null },
  results: [
    {
      task: { type: "text-classification" },
      dataset: { type: "spamassassin", name: "SpamAssassin", split: "test" },
      metric: { type: "accuracy", value: 0.9871 },
      interval: { low: 0.98, high: 0.992, confidence: 0.95 },
    },
    {
      task: { type: "text-classification" },
      dataset: { type: "spamassassin", name: "SpamAssassin", split: "test" },
      metric: { type: "f1", name: "F1 of spam", value: 0.97 },
    },
  ],
  parameters: { all: 109_483_778, trained: 1538 },
  steps: 1200,
  seconds,
  hardware,
  energy: estimateEnergy({ seconds, cores: 2 }),
  limits: ["Knows no mail\nafter 2006."],
};

const frontMatter = (text: string) => parse(/^---\n([\s\S]*?)\n---\n/.exec(text)?.[1] as string, { version: "1.1" });

test("the front matter is what the hub reads", () => {
  expect(frontMatter(modelCard(card))).toEqual({
    license: "apache-2.0",
    language: ["en", "no"], // in YAML 1.1 no is false, unless it is quoted
    base_model: "google-bert/bert-base-uncased",
    base_model_relation: "finetune",
    datasets: ["me/enron"],
    pipeline_tag: "text-classification",
    library_name: "transformers",
    tags: ["kindling", "spam"],
    "model-index": [
      {
        name: "me/spam: yes",
        results: [
          {
            task: { type: "text-classification" },
            dataset: { type: "spamassassin", name: "SpamAssassin", split: "test" },
            metrics: [
              { type: "accuracy", value: 0.9871 },
              { type: "f1", value: 0.97, name: "F1 of spam" },
            ],
          },
        ],
      },
    ],
  });
});

test("the sections say what is known", () => {
  const text = modelCard(card);
  expect(text.match(/^## .*$/gm)).toEqual([
    "## How to use it",
    "## Results",
    "## Data",
    "## Training",
    "## Configuration",
    "## Time, energy and cost",
    "## Limits",
  ]);
  expect(text).toContain("| text-classification | SpamAssassin (test) | accuracy | 0.9871 | 0.98 to 0.992 (95 %) |");
  expect(text).toContain("| SpamAssassin | 6,047 messages | Apache-2.0 | abababababababab |");
  expect(text).toContain("- 109,483,778 parameters, of which 1,538 were trained");
  expect(text).toContain("A | B, 2 cores, 16.0 GiB");
  expect(text).toContain("- Energy: 0.02 kWh; CO2: 9.5 g; cost: 0.003 USD");
  expect(text).toContain('await pipeline("text-classification", "me/spam: yes")');
  expect(text).toContain("- Knows no mail after 2006.");
});

test("what is not known is left out", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const path = await writeModelCard(folder, { name: "tiny", summary: "Nothing." });
  const text = await readFile(path, "utf8");
  expect(frontMatter(text)).toEqual({ library_name: "transformers", tags: ["kindling"] });
  expect(text.match(/^## .*$/gm)).toEqual(["## How to use it", "## Training"]);
});

test("an adapter is put on its base", () => {
  const text = modelCard({ ...card, libraryName: "peft", baseModelRelation: "adapter" });
  expect(text).toContain('PeftModel.from_pretrained(base, "me/spam: yes")');
});

test("wrong descriptions are refused", () => {
  expect(() => modelCard({ ...card, name: " " })).toThrow(/a name of one line/);
  expect(() => modelCard({ ...card, licence: "mit" } as ModelCard)).toThrow(/did you mean "license"/);
  const [result] = card.results as [NonNullable<ModelCard["results"]>[number]];
  const metric = { ...result.metric, value: Number.NaN };
  expect(() => modelCard({ ...card, results: [{ ...result, metric }] })).toThrow(/a finite accuracy/);
});

test("energy is time by power, and renting a machine has its price", () => {
  const estimate = estimateEnergy({ seconds: 3600, cores: 10 }, { wattsPerCore: 3, acceleratorWatts: 370, pue: 1.5 });
  expect(estimate.kwh).toBeCloseTo(0.6, 12);
  expect(estimate.grams).toBeCloseTo(285, 9);
  expect(estimateEnergy({ seconds, cores: 1 }, { pricePerHour: 2, currency: "EUR" })).toMatchObject({
    cost: 4,
    currency: "EUR",
  });
  expect(() => estimateEnergy({ seconds: -1, cores: 1 })).toThrow(/seconds of at least 0/);
});

test("the confusion matrix of few classes is whole, of many its worst pairs are told", () => {
  const few = modelCard({
    name: "m",
    summary: "s",
    confusion: {
      labels: ["a|b", "c"],
      counts: [
        [3, 1],
        [0, 2],
      ],
    },
  });
  expect(few).toContain(
    "|  | a\\|b | c |\n| --- | --- | --- |\n| a\\|b | 3 (75 %) | 1 (25 %) |\n| c | 0 | 2 (100 %) |",
  );
  const labels = Array.from({ length: 20 }, (_, i) => `c${i}`);
  const counts = labels.map((_, i) => labels.map((_, j) => (i === j ? 6 : i === 3 && j === 4 ? 2 : 0)));
  const many = modelCard({ name: "m", summary: "s", confusion: { labels, counts } });
  expect(many).toContain("| c3 | c4 | 2 | 25 % |");
  expect(many).not.toContain("| c5 |");
});
