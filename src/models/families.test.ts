/**
 * docs/models.md lists what there is: this test writes its table (`npx vitest run src/models/families -u`), and fails
 * where it is out of date.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { readDifferences } from "../testing/differences.ts";
import { families } from "./families.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));

/** The example of a family, as a package outside of Kindling has it. */
const example = readFileSync(new URL("../testing/example-family.ts", import.meta.url), "utf8")
  .replace(/^\/\*\*[\s\S]*?\*\/\n/, "")
  .replace(/"\.\.\/(\w+)\/index\.ts"/g, '"kindling/$1"');

const introduction = `# Models

\`fromPretrained(path)\` opens a folder in Hugging Face layout, a repository ("owner/name", pulled into the cache that Python shares) or a GGUF file
(of most decoders). \`model_type\` and \`architectures\` of config.json say which of the classes below is made; with \`{ task }\` the class is the
family's for that task, and its type is known. \`{ task, head: "new", labels }\` puts a new classifier on a base model.

Weights are read from \`model.safetensors\`, from shards with an index, and from \`pytorch_model.bin\` (by a reader of pickles that runs nothing), in f32, f16, bf16 and f64;
\`{ variant: "fp16" }\` and \`{ subfolder }\` choose among several. As in transformers, tensors that a class has no place for are left, weights that are missing start anew, and
one warning names both, with what of config.json is not followed (\`{ onWarning }\`, else the console); another shape is an error, unless \`{ ignoreMismatchedSizes: true }\`.
\`{ config: { eos_coefficient: 0.2 } }\` changes fields of config.json, and \`{ strict: true }\` refuses whatever is left over or missing. Whole layers are dropped in training as \`drop_path_rate\` says of Swin, SegFormer and ConvNeXt; others never are (\`layerdrop\`).
\`savePretrained\` writes what transformers reads. ResNets of timm open by timm's own config.json.

All are written as ONNX too (\`exportModel\`, \`kindling convert --to onnx\`), those of several parts as several files. \`convert\` writes nothing over what is there unless
\`--force\` is given: then it replaces a GGUF file, or a folder that holds a model and nothing else, as a whole; never a run or a folder with other files. GGUF is read and written of
\`llama\`, \`mistral\`, \`mixtral\`, \`qwen2\`, \`qwen3\`, \`qwen3_moe\`, \`smollm3\`, \`olmo2\`, \`olmo3\`, \`gemma\`, \`gemma2\`, \`gemma3_text\`, \`phi3\`, \`glm\`, \`glm4\`, \`gpt2\` and \`gpt_neox\`,
as llama.cpp has them.

## A model from a config

Every class below is exported from \`kindling/models\` under its name in transformers, and made of a config in camelCase. What is not given is as in
transformers' config class; a field that does not exist is an error that names the nearest, and the config that came of it is \`model.config\`:

\`\`\`ts
import { BertForSequenceClassification, Qwen3ForCausalLM, savePretrained } from "kindling/models";
import { randomKey } from "kindling/tensor";

const writer = new Qwen3ForCausalLM({ hiddenSize: 64, numLayers: 2, numHeads: 4, numKeyHeads: 2 }, randomKey(0));
const critic = new BertForSequenceClassification({ numLayers: 2, labels: ["dull", "good"] }, randomKey(1));
await savePretrained(writer, "runs/writer");
\`\`\`

Models of several parts take a config for each: \`new CLIPModel({ text: {...}, vision: {...} }, key)\`; LLaVA's text model is any decoder,
\`{ languageModel: (key) => new MistralForCausalLM({...}, key) }\`. Only the rotary parameters, \`rope\`, have config.json's own names.

## A family of your own

A family says which classes there are, how their config.json is read and written, and where checkpoints call weights otherwise (\`tensorName\`, \`tied\`, \`prefix\`).
\`registerFamily\` makes it known to \`fromPretrained\`, and so to pipelines and the server; it goes before the families that are there where its
\`matches(json)\` takes a config.json, and \`translate(json)\` brings one of another program into transformers' form. A model's base class brings what its task has:
generation, saving, the loss, and the ONNX files (\`onnxParts\`, which a class may say otherwise). This is a whole one:

\`\`\`ts
${example}\`\`\`

It is then used as all others are: \`await savePretrained(new ParallelForCausalLM({ numLayers: 2 }, key), folder)\`,
\`await fromPretrained(folder, { task: "causal-lm" })\`, \`new Generator(model)\`, \`await exportModel(model, folder)\`.
A relative of Llama needs less: \`decoderFamily\` takes its fields and traits, and the class extends \`DecoderForCausalLM\`.

## What there is

"Checked" counts the golden models (in golden/models, golden/decoders and golden/gpt2) whose outputs are transformers'. "Difference" is the largest of their outputs, and
"gradients" that of the loss and the gradient of every parameter, relative to numbers above 1, as the tests saw them (\`KINDLING_RECORD=1 npx vitest run src/models\` writes
them down); none may be above 1e-4. Where there are gradients the class is trained by \`train\`: 20 steps of AdamW and of SGD with PyTorch's losses, and a
run that is resumed half way is the same run (golden/train; \`npm run test:slow\`, one class of each kind in \`npm test\`). GPT-2 is compared over 30 steps; transformers defines no loss for base models.
`;

/** How often each class stands in the config.json files of golden/. */
async function checked(): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const folder of ["models", "decoders", "gpt2"]) {
    for (const name of readdirSync(join(golden, folder))) {
      const config = await readJson(join(golden, folder, name, "config.json")).catch(() => undefined);
      const [architecture] = (config?.architectures as string[] | undefined) ?? [];
      if (architecture) counts.set(architecture, (counts.get(architecture) ?? 0) + 1);
    }
  }
  return counts;
}

/** A table in Markdown, its columns as wide as their widest cell. */
function aligned([head, ...rows]: readonly string[][]): string {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[], fill = " ") =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i], fill)).join(" | ")} |`;
  return [
    line(head),
    line(
      head.map(() => ""),
      "-",
    ),
    ...rows.map((row) => line(row)),
  ].join("\n");
}

test("docs/models.md", async () => {
  const counts = await checked();
  const seen = readDifferences();
  const rows = [...families].flatMap(({ modelType, classes }) =>
    Object.entries(classes).map(([name, { task }], i) => {
      const { outputs, gradients } = seen[name] ?? {};
      const shown = (difference: number | undefined) => (difference === undefined ? "" : difference.toExponential(0));
      return [
        i === 0 ? `\`${modelType}\`` : "",
        `\`${name}\``,
        task,
        String(counts.get(name) ?? ""),
        shown(outputs),
        shown(gradients),
      ];
    }),
  );
  const table = aligned([["model_type", "class", "task", "checked", "difference", "gradients"], ...rows]);
  await expect(`${introduction}\n${table}\n`).toMatchFileSnapshot(
    fileURLToPath(new URL("../../docs/models.md", import.meta.url)),
  );
});
