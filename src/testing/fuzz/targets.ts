/** What is fuzzed: readers of files that others wrote, each with sound files to change and what it does with one. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { parseJsonBytes } from "../../base/index.ts";
import { GgufFile, readSafetensors, readTorch } from "../../files/index.ts";
import { fromPretrained } from "../../models/index.ts";
import { parseOnnx } from "../../onnx/index.ts";
import { ImageProcessor, loadImage, readWav, resample, toMono } from "../../processors/index.ts";
import { zeros } from "../../tensor/index.ts";
import { javascriptEngine } from "../../tokenizers/engine-javascript.ts";
import { sentencePieceJson } from "../../tokenizers/formats/sentencepiece.ts";
import { tiktokenJson } from "../../tokenizers/formats/tiktoken.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import { Template } from "../../tokenizers/jinja/template.ts";
import { checkedTokenizer } from "../../tokenizers/safe-file.ts";
import { wavFile } from "../wav-file.ts";
import { grammarTargets } from "./grammars.ts";
import { mutateBytes, mutateJson, mutateText } from "./mutate.ts";
import { rowTargets } from "./rows.ts";
import type { Target } from "./target.ts";

const texts = ["Call me Ishmael.  <s> é 漢字 1234\n\n", "", "a".repeat(300), "\u0301\u0323".repeat(40), "🙂\ud800x"];

/** @param golden the folder of golden files @param scratch a folder for inputs that are read from a file */
export function fuzzTargets(golden: string, scratch: string): Record<string, Target> {
  const read = (name: string): Uint8Array => readFileSync(join(golden, name));
  const filesIn = (folder: string, ending: string, most = 200_000): Uint8Array[] =>
    readdirSync(join(golden, folder))
      .filter((name) => name.endsWith(ending))
      .map((name) => read(join(folder, name)))
      .filter(({ length }) => length < most);
  const jsonIn = (folder: string, ending: string): unknown[] =>
    filesIn(folder, ending).map((bytes) => JSON.parse(Buffer.from(bytes).toString()));
  const bytes = (
    originals: readonly Uint8Array[],
    count: number,
    run: (input: Uint8Array) => Promise<unknown>,
  ): Target => ({
    count,
    make: (random) => mutateBytes(random.pick(originals), random),
    run: async (input) => void (await run(input as Uint8Array)),
  });
  const json = (originals: readonly unknown[], count: number, run: (value: never) => Promise<unknown>): Target => ({
    count,
    make: (random) => JSON.stringify(mutateJson(random.pick(originals), random)),
    run: async (input) => void (await run(JSON.parse(input as string) as never)),
  });
  const file = (name: string, run: (path: string) => Promise<unknown>) => async (input: Uint8Array) => {
    writeFileSync(join(scratch, name), input);
    await run(join(scratch, name));
  };
  const encode = async (tokenizer: Tokenizer) => {
    for (const text of texts) await tokenizer.decode((await tokenizer.encodeText(text, { pair: "b" })).ids);
  };
  const kinds = jsonIn("tokenizers/kinds", ".tokenizer.json");
  const templates = filesIn("chat-templates", ".jinja").map((each) => Buffer.from(each).toString());
  const nodes = JSON.parse(gunzipSync(read("onnx-nodes.json.gz")).toString()) as { tests: { model: string }[] };
  const wavs = filesIn("audio", ".wav");
  const folders = modelFolders(golden);
  return {
    safetensors: bytes(filesIn("torch", ".safetensors"), 2000, file("x.safetensors", readSafetensors)),
    torch: bytes([...filesIn("torch", ".pt"), ...filesIn("torch", ".bin")], 1500, file("x.pt", readTorch)),
    gguf: bytes(filesIn("gguf", ".gguf"), 1000, file("x.gguf", readGguf)),
    onnx: bytes(
      nodes.tests.map(({ model }) => Buffer.from(model, "base64")).filter(({ length }) => length < 2000),
      2000,
      runOnnx,
    ),
    json: bytes(filesIn("tokenizers/kinds", ".tokenizer.json"), 500, async (input) => parseJsonBytes(input, "x.json")),
    tiktoken: bytes(filesIn("tokenizers/tiktoken", ".tiktoken"), 1000, async (input) =>
      tiktokenJson("x", Buffer.from(input).toString()),
    ),
    sentencepiece: bytes(filesIn("tokenizers/sentencepiece", ".model"), 600, async (input) =>
      encode(await Tokenizer.fromJson(sentencePieceJson("x", input))),
    ),
    "tokenizer-native": json(kinds, 1000, async (value) => encode(await Tokenizer.fromJson(value))),
    "tokenizer-javascript": json(kinds, 1000, async (value) => {
      const engine = await javascriptEngine("x", checkedTokenizer("x", value));
      for (const text of texts) await engine.decode((await engine.encode(text, "b", true, undefined))[0].ids, true);
    }),
    template: {
      count: 1500,
      make: (random) => mutateText(random.pick(templates), random, templates),
      run: async (input) => {
        const messages = [
          { role: "system", content: "s" },
          { role: "user", content: "Hi <|im_end|>" },
        ];
        new Template(input as string).render({
          messages,
          tools: null,
          add_generation_prompt: true,
          bos_token: "<s>",
          eos_token: "</s>",
        });
      },
    },
    wav: bytes(wavs.length > 0 ? wavs : [wavFile({ rate: 8000, bytes: 8000 })], 1500, async (input) => {
      const sound = readWav(input);
      resample(toMono(sound).subarray(0, 4000), sound.samplingRate, 16_000);
    }),
    image: bytes(
      readdirSync(join(golden, "image-colours"))
        .filter((name) => !name.endsWith(".json"))
        .map((name) => read(join("image-colours", name)))
        .concat([drawing]),
      400,
      (input) => loadImage(input),
    ),
    preprocessor: json(preprocessors(golden), 1000, async (value) => {
      new ImageProcessor(value).process([{ width: 5, height: 3, channels: 4, data: new Uint8Array(60).fill(9) }]);
    }),
    ...rowTargets(golden, scratch),
    ...grammarTargets(JSON.parse(gunzipSync(read("json-schema.json.gz")).toString())),
    config: {
      count: 400,
      make: (random) => {
        const folder = random.pick(folders);
        return JSON.stringify({
          folder,
          config: mutateJson(JSON.parse(readFileSync(join(folder, "config.json"), "utf8")), random),
        });
      },
      run: async (input) => {
        const { folder, config } = JSON.parse(input as string);
        for (const name of readdirSync(folder))
          if (/\.(safetensors|json)$/.test(name)) writeFileSync(join(scratch, name), readFileSync(join(folder, name)));
        writeFileSync(join(scratch, "config.json"), JSON.stringify(config));
        await fromPretrained(scratch);
      },
    },
  };
}

async function readGguf(path: string): Promise<void> {
  const file = await GgufFile.open(path);
  try {
    for (const name of file.header.tensors.keys()) await file.read(name);
  } finally {
    await file.close();
  }
  const tokenizer = await Tokenizer.open(path);
  await tokenizer.encode(texts[0]);
  await fromPretrained(path);
}

async function runOnnx(input: Uint8Array): Promise<void> {
  const model = await parseOnnx(input);
  const inputs = model.inputs.flatMap(({ name, dtype, shape }) => {
    const isSmall = shape?.every((size) => typeof size === "number" && size < 64);
    return isSmall ? [[name, zeros(shape as number[], dtype)] as const] : [];
  });
  model.forward(Object.fromEntries(inputs));
}

/** Folders of tiny models of all families. */
function modelFolders(golden: string): string[] {
  return ["decoders", "models"].flatMap((parent) =>
    readdirSync(join(golden, parent))
      .map((name) => join(golden, parent, name))
      .filter((folder) => existsSync(join(folder, "config.json")) && existsSync(join(folder, "model.safetensors"))),
  );
}

function preprocessors(golden: string): unknown[] {
  return readdirSync(join(golden, "images"))
    .map((name) => join(golden, "images", name, "preprocessor_config.json"))
    .filter(existsSync)
    .map((path) => JSON.parse(readFileSync(path, "utf8")));
}

/** An SVG with what refers to other parts of it. */
const drawing = new TextEncoder().encode(
  `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><style>.a { fill: url(#g) }</style><defs>
  <linearGradient id="g"><stop stop-color="red"/></linearGradient><clipPath id="c"><path d="M0 0h9v9z"/></clipPath></defs>
  <g clip-path="url(#c)"><use href="#r"/><rect id="r" class="a" width="9" height="9" opacity="0.5"/></g></svg>`,
);
