import { join } from "node:path";
import { stringify } from "yaml";
import { checkOptions, OptionError } from "../../base/index.ts";
import { writeFileAtomic } from "../../files/index.ts";
import type { CardResult, ModelCard } from "./description.ts";
import { sectionsOf, TRAINED_WITH } from "./sections.ts";

const cardNames: readonly (keyof ModelCard)[] = [
  ...(["name", "summary", "license", "languages", "baseModels", "baseModelRelation", "tags", "pipelineTag"] as const),
  ...(["libraryName", "method", "data", "config", "results", "confusion", "parameters", "steps", "seconds"] as const),
  ...(["hardware", "energy", "limits"] as const),
];

/**
 * The README.md of a model: front matter as the hub reads it (Mitchell et al. 2018, arXiv:1810.03993, says why models
 * have cards), then what the model is, how it is used, and what it was trained on, how, at what cost and with what
 * result. What is not known is left out.
 * @throws OptionError for unknown fields, an empty name, and numbers that are not finite
 */
export function modelCard(card: ModelCard): string {
  checkOptions("modelCard", card, cardNames);
  if (card.name.trim() === "" || /[\r\n]/.test(card.name)) throw wrong("a name of one line", JSON.stringify(card.name));
  for (const { metric, interval } of card.results ?? []) {
    const numbers = [metric.value, interval?.low ?? 0, interval?.high ?? 0];
    if (!numbers.every(Number.isFinite)) throw wrong(`a finite ${metric.type}`, numbers.join(", "));
  }
  const front = stringify(frontMatter(card), { lineWidth: 0, version: "1.1" }); // the hub reads YAML 1.1
  return `---\n${front}---\n\n# ${card.name}\n\n${card.summary.trim()}\n\n${sectionsOf(card).join("\n\n")}\n`;
}

/** Writes the card of a model's folder. @returns its path @throws OptionError as `modelCard`, WriteError */
export async function writeModelCard(folder: string, card: ModelCard): Promise<string> {
  const path = join(folder, "README.md");
  await writeFileAtomic(path, modelCard(card));
  return path;
}

/** Whether a text is a card that `modelCard` wrote, and not somebody's own. */
export const isModelCard = (text: string): boolean => text.includes(TRAINED_WITH);

const wrong = (expected: string, received: string) =>
  new OptionError({ where: "modelCard", expected, received, fix: "correct the description" });

/** github.com/huggingface/hub-docs, modelcard.md */
function frontMatter(card: ModelCard): Record<string, unknown> {
  const { baseModels = [], baseModelRelation, tags = [], languages = [], data = [], results = [] } = card;
  const datasets = data.flatMap(({ hubId }) => hubId ?? []);
  const fields = {
    license: card.license,
    language: languages.length > 0 ? languages : undefined,
    base_model: baseModels.length > 1 ? baseModels : baseModels[0],
    base_model_relation: baseModels.length > 0 ? baseModelRelation : undefined,
    datasets: datasets.length > 0 ? datasets : undefined,
    pipeline_tag: card.pipelineTag,
    library_name: card.libraryName ?? "transformers",
    tags: [...new Set(["kindling", ...tags])],
    "model-index": results.length > 0 ? [{ name: card.name, results: modelIndex(results) }] : undefined,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Metrics of one task and data set stand together. */
function modelIndex(results: readonly CardResult[]): object[] {
  const groups = new Map<string, { task: object; dataset: object; metrics: object[] }>();
  for (const { task, dataset, metric } of results) {
    const key = JSON.stringify([task, dataset]);
    const group = groups.get(key) ?? { task, dataset, metrics: [] };
    const { type, name, value } = metric;
    group.metrics.push({ type, value, ...(name !== undefined && { name }) });
    groups.set(key, group);
  }
  return [...groups.values()];
}
