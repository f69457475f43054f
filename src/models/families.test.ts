/**
 * docs/models.md lists what there is: this test writes its table (`npx vitest run src/models/families -u`), and fails
 * where it is out of date.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { readDifferences } from "../testing/differences.ts";
import { families } from "./families.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));

const introduction = `# Models

\`fromPretrained(path)\` opens a folder in Hugging Face layout, a repository ("owner/name", pulled into the cache that Python shares) or a GGUF file
(of most decoders). \`model_type\` and \`architectures\` of config.json say which of the classes below is made; with \`{ task }\` the class is the
family's for that task, and its type is known. \`{ task, head: "new", labels }\` puts a new classifier on a base model.

Weights are read from \`model.safetensors\`, from shards with an index, and from \`pytorch_model.bin\` (by a reader of pickles that runs nothing), in f32, f16, bf16 and f64;
\`{ variant: "fp16" }\` and \`{ subfolder }\` choose among several. As in transformers, tensors that a class has no place for are left, weights that are missing start anew, and
one warning names both, with what of config.json is not followed (\`{ onWarning }\`, else the console); another shape is an error, unless \`{ ignoreMismatchedSizes: true }\`.
\`{ strict: true }\` refuses whatever is left over or missing. Whole layers are dropped in training as \`drop_path_rate\` says of Swin, SegFormer and ConvNeXt; others never are (\`layerdrop\`).
\`savePretrained\` writes what transformers reads. ResNets of timm open by timm's own config.json.

All are written as ONNX too (\`exportModel\`, \`kindling convert --to onnx\`), those of several parts as several files. \`convert\` writes nothing over what is there unless
\`--force\` is given: then it replaces a GGUF file, or a folder that holds a model and nothing else, as a whole; never a run or a folder with other files. GGUF is read and written of
\`llama\`, \`mistral\`, \`mixtral\`, \`qwen2\`, \`qwen3\`, \`qwen3_moe\`, \`smollm3\`, \`olmo2\`, \`olmo3\`, \`gemma\`, \`gemma2\`, \`gemma3_text\`, \`phi3\`, \`glm\`, \`glm4\`, \`gpt2\` and \`gpt_neox\`,
as llama.cpp has them.

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
  const rows = [...families.values()].flatMap(({ modelType, tasks }) =>
    Object.entries(tasks).map(([name, task], i) => {
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
