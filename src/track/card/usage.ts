import type { ModelCard } from "./description.ts";

/** How a model of a task is called, here and in transformers. */
interface Usage {
  /** An argument of `run`, in TypeScript. */
  input: string;
  /** The class of transformers, where its version 5 has no pipeline for the task. @default its pipeline */
  pythonClass?: string;
  /** The same in Python. @default as in TypeScript */
  pythonInput?: string;
}

const usages: Readonly<Record<string, Usage>> = {
  "text-generation": { input: '"Once upon a time"' },
  "text-classification": { input: '"A whale of a tale."' },
  "token-classification": { input: '"Ishmael sailed from Nantucket."' },
  "fill-mask": { input: '"The [MASK] swam."' },
  "feature-extraction": { input: '"A whale of a tale."' },
  "question-answering": {
    input: '{ question: "Who sailed?", context: "Ishmael sailed from Nantucket." }',
    pythonClass: "AutoModelForQuestionAnswering",
    pythonInput: '"Who sailed?", "Ishmael sailed from Nantucket."',
  },
  "text2text-generation": { input: '"A whale of a tale."', pythonClass: "AutoModelForSeq2SeqLM" },
  summarization: { input: '"A whale of a tale."', pythonClass: "AutoModelForSeq2SeqLM" },
  translation: { input: '"A whale of a tale."', pythonClass: "AutoModelForSeq2SeqLM" },
  "automatic-speech-recognition": { input: '"speech.wav"' },
  "image-classification": { input: '"picture.jpg"' },
  "object-detection": { input: '"picture.jpg"' },
  "image-segmentation": { input: '"picture.jpg"' },
  "image-text-to-text": {
    input: '[{ role: "user", content: [{ type: "image", path: "1.jpg" }, { type: "text", text: "What is it?" }] }]',
    pythonInput:
      'text=[{"role": "user", "content": [{"type": "image", "path": "1.jpg"}, {"type": "text", "text": "What is it?"}]}]',
  },
};

const block = (language: "ts" | "python", lines: readonly string[]) => `\`\`\`${language}\n${lines.join("\n")}\n\`\`\``;

/** How the model is used in Kindling and in Python. */
export function usageOf(card: ModelCard): string {
  if (card.libraryName === "peft") return adapterUsage(card);
  const { name, pipelineTag: task } = card;
  const usage = task === undefined ? undefined : usages[task];
  const texts =
    usage && task !== undefined ? [inKindling(name, task, usage), inPython(name, task, usage)] : plain(name);
  return `In Kindling:\n\n${texts[0]}\n\nIn Python:\n\n${texts[1]}`;
}

const inKindling = (name: string, task: string, { input }: Usage) =>
  block("ts", [
    'import { pipeline } from "kindling";',
    "",
    `const model = await pipeline("${task}", ${JSON.stringify(name)});`,
    `console.log(await model.run(${input}));`,
  ]);

function inPython(name: string, task: string, { input, pythonClass, pythonInput = input }: Usage): string {
  if (pythonClass === undefined)
    return block("python", [
      "from transformers import pipeline",
      "",
      `model = pipeline("${task}", ${JSON.stringify(name)})`,
      `print(model(${pythonInput}))`,
    ]);
  return block("python", [
    `from transformers import ${pythonClass}, AutoTokenizer`,
    "",
    `tokenizer = AutoTokenizer.from_pretrained(${JSON.stringify(name)})`,
    `model = ${pythonClass}.from_pretrained(${JSON.stringify(name)})`,
    `inputs = tokenizer(${pythonInput}, return_tensors="pt")`,
    pythonClass === "AutoModelForSeq2SeqLM"
      ? "print(tokenizer.batch_decode(model.generate(**inputs), skip_special_tokens=True))"
      : "print(model(**inputs))",
  ]);
}

const plain = (name: string): string[] => [
  block("ts", [
    'import { fromPretrained } from "kindling";',
    "",
    `const model = await fromPretrained(${JSON.stringify(name)});`,
  ]),
  block("python", [
    "from transformers import AutoModel",
    "",
    `model = AutoModel.from_pretrained(${JSON.stringify(name)})`,
  ]),
];

function adapterUsage({ name, pipelineTag, baseModels: [base = "the base model"] = [] }: ModelCard): string {
  const readsPictures = pipelineTag === "image-text-to-text";
  const [task, pythonClass] = readsPictures
    ? ["image-text-to-text", "AutoModelForImageTextToText"]
    : ["causal-lm", "AutoModelForCausalLM"];
  const kindling = block("ts", [
    'import { applyAdapter, fromPretrained, readAdapter } from "kindling";',
    "",
    `const model = await fromPretrained(${JSON.stringify(base)}, { task: "${task}" });`,
    `applyAdapter(model, await readAdapter(${JSON.stringify(name)}));`,
  ]);
  const python = block("python", [
    "from peft import PeftModel",
    `from transformers import ${pythonClass}`,
    "",
    `base = ${pythonClass}.from_pretrained(${JSON.stringify(base)})`,
    `model = PeftModel.from_pretrained(base, ${JSON.stringify(name)})`,
  ]);
  return `In Kindling:\n\n${kindling}\n\nIn Python:\n\n${python}`;
}
