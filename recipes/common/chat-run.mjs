/** SmolLM2 tuned on dialogues: data, a training by a config, and how well it tells the answers before and after. */
import { join } from "node:path";
import { IGNORED_LABEL } from "kindling/base";
import { fromPretrained } from "kindling/models";
import { applyAdapter, readAdapter } from "kindling/peft";
import { argmax, cast, compile, crossEntropy, equal, mul, notEqual, reshape, sum, tensor } from "kindling/tensor";
import { Tokenizer } from "kindling/tokenizers";
import { chatTokens, rowsOf, writeChatData } from "./chat-data.mjs";
import { writeOrder } from "./order.mjs";
import { numbersOf, trained } from "./train.mjs";

const ROWS = 8; // of a batch that is measured

/**
 * Runs a recipe in its folder, and prints its numbers as JSON.
 * @param load how the base is opened, as config.yaml has it
 */
export async function runChatRecipe(folder, load) {
  const { seed, steps } = numbersOf({ seed: 0, steps: undefined });
  const data = join(folder, "data");
  const gguf = writeChatData(data);
  const before = await quality(gguf, load, join(data, "validation.jsonl"));
  console.error("before", before);
  const run = await trained(join(folder, "config.yaml"), { output: join(folder, "runs", `seed-${seed}`), seed, steps });
  const examples = await chatTokens(rowsOf(join(data, "train.jsonl")), await Tokenizer.open(gguf));
  const lengths = examples.map(({ ids }) => ids.length);
  await writeOrder(join(data, `order-${seed}.json`), lengths, { seed, ...run });
  const after = await quality(gguf, load, join(data, "validation.jsonl"), run.path);
  console.log(JSON.stringify({ seed, steps: run.steps, before, after, seconds: run.seconds }));
  process.exit(0);
}

/** Mean loss of a token of the answers, its exponential, and the share of tokens that are the likeliest ones. */
async function quality(gguf, load, rows, adapter) {
  const model = await fromPretrained(gguf, { task: "causal-lm", ...load });
  if (adapter !== undefined) applyAdapter(model, await readAdapter(adapter));
  const examples = await chatTokens(rowsOf(rows), await Tokenizer.open(gguf));
  const width = Math.max(...examples.map(({ ids }) => ids.length));
  const measure = compile(({ labels, ...inputs }) => {
    const { logits } = model.forward(inputs); // [B, T, V]
    const flat = reshape(logits, [-1, model.config.vocabSize]);
    const counts = notEqual(labels, IGNORED_LABEL);
    const isRight = equal(cast(argmax(flat, { axis: -1 }), "i32"), labels);
    return {
      nats: crossEntropy(flat, labels, { reduction: "sum", ignoreIndex: IGNORED_LABEL }),
      right: sum(mul(cast(isRight, "f32"), cast(counts, "f32"))),
      tokens: sum(cast(counts, "f32")),
    };
  });
  const total = { nats: 0, right: 0, tokens: 0 };
  for (let start = 0; start < examples.length; start += ROWS) {
    const batch = padded(examples.slice(start, start + ROWS), width);
    for (const [name, output] of Object.entries(await measure(batch))) total[name] += await output.item();
  }
  measure.dispose();
  model.dispose();
  const loss = total.nats / total.tokens;
  return { validationLoss: loss, perplexity: Math.exp(loss), tokenAccuracy: total.right / total.tokens };
}

/** Rows of one width; of each place the token that follows is its label, where it is one of the answer. */
function padded(examples, width) {
  const shape = [examples.length, width];
  const ids = new Int32Array(examples.length * width);
  const mask = new Uint8Array(ids.length);
  const labels = new Int32Array(ids.length).fill(IGNORED_LABEL);
  for (const [row, { ids: tokens, start, end }] of examples.entries()) {
    ids.set(tokens, row * width);
    mask.fill(1, row * width, row * width + tokens.length);
    labels.set(tokens.slice(start, end), row * width + start - 1);
  }
  return {
    inputIds: tensor(ids, { shape }),
    attentionMask: tensor(mask, { dtype: "bool", shape }),
    labels: tensor(labels),
  };
}
