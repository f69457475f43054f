import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OptionError } from "../base/index.ts";
import { batchesOf, openPrepared, permute, prepareData, TextCorpus, TokenDataset, TokenWriter } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const textOf = async (corpus: TextCorpus) => {
  let text = "";
  for await (const chunk of corpus.chunks()) text += chunk.text;
  return text;
};
const file = async (name: string, content: string | Uint8Array) => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};

describe("texts that cannot be used say why", () => {
  test.each([
    ["missing.txt", undefined, /nothing there/],
    ["empty.txt", "", /an empty file/],
    ["binary.txt", Uint8Array.of(65, 66, 0, 67), /binary data: a zero byte at offset 2/],
    ["latin1.txt", Uint8Array.of(65, 0xe9, 66), /invalid bytes at offset 1: e9 42/],
    ["cut.txt", new TextEncoder().encode("abc明").slice(0, 5), /invalid bytes at offset 3: e6 98/],
  ])("%s", async (name, content, message) => {
    const path = content === undefined ? join(folder, name) : await file(name, content);
    await expect(TextCorpus.open(path).then(textOf)).rejects.toThrow(message);
  });

  test("a folder without texts", async () => {
    await mkdir(join(folder, "bare"));
    await expect(TextCorpus.open(join(folder, "bare"))).rejects.toThrow(/a folder without any/);
  });

  test("shorter than a context", async () => {
    const corpus = await TextCorpus.open(await file("short.txt", "too short"));
    await expect(
      prepareData(corpus, join(folder, "short"), { tokenizer: "char", vocabSize: 0, contextLength: 64 }),
    ).rejects.toThrow(/at least 130 tokens.*received 9 tokens.*--context 3/s);
  });
});

test.each([
  [{ tokenizer: "bpee" }, 'tokenizer to be bpe or char; received "bpee". Fix: did you mean "bpe"?'],
  [{ tokenizer: undefined }, "received undefined. Fix: choose one of them"],
  [{ contextLenght: 3 }, 'received "contextLenght". Fix: did you mean "contextLength"?'],
  [{ contextLength: 2.5 }, "contextLength to be a positive integer; received 2.5"],
  [{ vocabSize: "300" }, "vocabSize to be a positive integer; received 300"],
  [{ vocabSize: 100 }, "vocabSize of at least 257 (256 bytes and 1 special tokens); received 100"],
  [{ validationFraction: 1 }, "validationFraction above 0 and below 1; received 1"],
])("options of prepareData that cannot be are refused: %j", async (wrong, message) => {
  const corpus = await TextCorpus.open(await file("options.txt", "some words ".repeat(99)));
  const options = { tokenizer: "bpe", vocabSize: 300, contextLength: 8, ...wrong } as never;
  const error: Error = await prepareData(corpus, join(folder, "options"), options).then(
    () => expect.unreachable(),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(OptionError);
  expect(error.message).toContain(message);
});

test("large files come in chunks that join to the same text, cut between words", async () => {
  const text = Array.from({ length: 400_000 }, (_, i) => `word${i % 977}${i % 13 === 0 ? "\n" : " "}`).join("");
  const corpus = await TextCorpus.open(await file("large.txt", text));
  const chunks: string[] = [];
  for await (const chunk of corpus.chunks()) chunks.push(chunk.text);
  expect(chunks.length).toBeGreaterThan(2);
  expect(chunks.join("")).toBe(text);
  for (const chunk of chunks.slice(1)) expect(chunk[0]).toMatch(/\s/);
  const chinese = "春眠不觉晓😀".repeat(100_000);
  expect(await textOf(await TextCorpus.open(await file("chinese.txt", chinese)))).toBe(chinese);
});

test("Chinese text is prepared by both tokenizers, and used again the second time", async () => {
  const corpus = await TextCorpus.open(
    await file("poem.txt", "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n".repeat(50)),
  );
  for (const tokenizer of ["char", "bpe"] as const) {
    const options = { tokenizer, vocabSize: 300, contextLength: 16 };
    const data = await prepareData(corpus, join(folder, tokenizer), options);
    const dataset = await TokenDataset.open(data.trainPath, {
      contextLength: 16,
      vocabSize: data.tokenizer.vocabSize,
      batchSize: 2,
    });
    const { inputIds, shiftLabels } = await dataset.batch(0);
    const [inputs, targets] = [await inputIds.read(), await shiftLabels.read()];
    expect(await data.tokenizer.decode([...inputs])).toMatch(/月|头/);
    expect([...targets.slice(0, 15)]).toEqual([...inputs.slice(1, 16)]);
    expect((await prepareData(corpus, join(folder, tokenizer), options)).trainTokens).toBe(data.trainTokens);
    await dataset.close();
  }
});

test("several documents: some are kept whole for validation", async () => {
  const path = join(folder, "many");
  await mkdir(path);
  for (let i = 0; i < 40; i++) await writeFile(join(path, `${i}.txt`), `document ${i} `.repeat(50));
  const data = await prepareData(await TextCorpus.open(path), join(folder, "many-data"), {
    tokenizer: "char",
    vocabSize: 0,
    contextLength: 8,
  });
  expect(data.validationTokens / (data.trainTokens + data.validationTokens)).toBeCloseTo(0.1, 1);
});

test.each([
  ["the validation documents are too short", (i: number) => (i === 0 ? "the quick brown fox ".repeat(100) : "hi")],
  ["the training documents are too short", (i: number) => (i === 5 ? "the quick brown fox ".repeat(100) : "hi")],
])("many documents: where %s, the end of the text is for validation", async (name, textOf) => {
  const path = join(folder, name);
  await mkdir(path);
  for (let i = 0; i < 10; i++) await writeFile(join(path, `0${i}.txt`), textOf(i));
  for (let i = 10; i < 21; i++) await writeFile(join(path, `${i}.txt`), "hi");
  const data = await prepareData(await TextCorpus.open(path), join(folder, `${name} data`), {
    tokenizer: "char",
    vocabSize: 0,
    contextLength: 16,
  });
  for (const tokens of [data.trainPath, data.validationPath]) {
    await (
      await TokenDataset.open(tokens, { contextLength: 16, vocabSize: data.tokenizer.vocabSize, batchSize: 1 })
    ).close();
  }
});

test("a text that repeats little gets the vocabulary it fills, and a note", async () => {
  const corpus = await TextCorpus.open(
    await file("few.txt", "Call me Ishmael. Some years ago, never mind how long precisely. ".repeat(20)),
  );
  const notes: string[] = [];
  const data = await prepareData(corpus, join(folder, "few"), {
    tokenizer: "bpe",
    vocabSize: 1024,
    contextLength: 8,
    onNote: (note) => notes.push(note),
  });
  expect(notes).toEqual([
    `the text repeats too little for 1024 tokens: the vocabulary has ${data.tokenizer.vocabSize}`,
  ]);
});

test("the sum of a corpus is that of its texts in their order, not of their names", async () => {
  const sumOf = async (name: string, texts: Record<string, string>) => {
    const path = join(folder, name);
    await mkdir(path);
    for (const [key, text] of Object.entries(texts)) await writeFile(join(path, key), text);
    return (await TextCorpus.open(path)).sha256();
  };
  const sum = await sumOf("sum1", { "a.txt": "one", "b.txt": "two" });
  expect(await sumOf("sum2", { "c.txt": "one", "d.md": "two" })).toBe(sum);
  const others: Record<string, string>[] = [
    { "a.txt": "two", "b.txt": "one" },
    { "a.txt": "onetwo" },
    { "a.txt": "onet", "b.txt": "wo" },
  ];
  for (const [i, texts] of others.entries()) expect(await sumOf(`sum${i + 3}`, texts)).not.toBe(sum);
});

describe("prepared data", () => {
  const options = { tokenizer: "char", vocabSize: 0, contextLength: 8 } as const;

  test("is made again for another text, and refused when a file of it was changed", async () => {
    const path = join(folder, "prepared");
    const first = await prepareData(await TextCorpus.open(await file("first.txt", "abcabc".repeat(30))), path, options);
    const second = await prepareData(
      await TextCorpus.open(await file("second.txt", "abcbca".repeat(30))),
      path,
      options,
    ); // of the same size
    expect(second.fingerprint.corpus).not.toBe(first.fingerprint.corpus);
    expect(second.fingerprint.tokenizer).toBe(first.fingerprint.tokenizer);
    expect(await openPrepared(path)).toMatchObject({ fingerprint: second.fingerprint });
    await writeFile(join(path, "train.bin"), new Uint8Array(20));
    await expect(openPrepared(path)).rejects.toThrow(
      /train\.bin: expected the content that was saved.*delete the folder/,
    );
  });

  test("never takes the place of other files", async () => {
    const path = join(folder, "mine");
    await mkdir(path);
    await writeFile(join(path, "notes.txt"), "mine");
    const corpus = await TextCorpus.open(join(folder, "first.txt"));
    await expect(prepareData(corpus, path, options)).rejects.toThrow(
      /an empty folder or one of prepared data; received one with notes.txt/,
    );
    expect(await readFile(join(path, "notes.txt"), "utf8")).toBe("mine");
  });
});

test("texts that cannot be read are errors in four parts", async () => {
  const path = join(folder, "links");
  await mkdir(path);
  await symlink("gone", join(path, "a.txt"));
  await expect(TextCorpus.open(path)).rejects.toThrow(/a\.txt: expected texts; received nothing there\. Fix: /);
  await expect(TextCorpus.open(join(folder, "first.txt", "x"))).rejects.toThrow(
    /received a file where the path needs a folder/,
  );
});

describe("batches", () => {
  const contextLength = 4;
  const make = async (name: string, count: number) => {
    const path = join(folder, name);
    const writer = await TokenWriter.create(path, 1000);
    await writer.write(Array.from({ length: count }, (_, i) => i));
    await writer.close();
    return path;
  };

  test("an epoch visits every window once, in an order given by the seed", async () => {
    const path = await make("a.bin", 103);
    const epoch = async (seed: number, first: number) => {
      const dataset = await TokenDataset.open(path, { contextLength, vocabSize: 1000, batchSize: 5, seed });
      const starts: number[] = [];
      for (let i = 0; i < 5; i++)
        for (const [row, id] of (await (await dataset.batch(first + i)).inputIds.read()).entries())
          if (row % contextLength === 0) starts.push(id);
      await dataset.close();
      return starts;
    };
    const first = await epoch(1, 0);
    expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 25 }, (_, i) => 4 * i));
    expect(await epoch(1, 0)).toEqual(first);
    expect(await epoch(2, 0)).not.toEqual(first);
    const second = await epoch(1, 5);
    expect(new Set(second).size).toBe(25);
    expect(second).not.toEqual(first);
  });

  test("spread over the text are evenly spaced, at most so many, and full", async () => {
    const options = { contextLength, vocabSize: 1000, batchSize: 5 };
    const dataset = await TokenDataset.open(await make("spread.bin", 103), options);
    const starts = async (limit: number) => {
      const source = dataset.spread(limit);
      const batches = await Promise.all(Array.from({ length: source.count as number }, (_, i) => source.batch(i)));
      const ids = await Promise.all(batches.map(({ inputIds }) => inputIds.read()));
      return ids.map((row) => Array.from({ length: 5 }, (_, i) => row[i * contextLength] / contextLength));
    };
    expect(await starts(2)).toEqual([
      [0, 2, 5, 7, 10],
      [12, 15, 17, 20, 22],
    ]);
    expect((await starts(100)).flat()).toEqual(Array.from({ length: 25 }, (_, i) => i));
    await dataset.close();
    const small = await TokenDataset.open(await make("small.bin", 13), options);
    expect(small.spread(8).count).toBe(1); // three windows, the first ones twice
    await expect(TokenDataset.open(await make("d.bin", 9), { ...options, batchSize: 0 })).rejects.toThrow(/batchSize/);
    await small.close();
  });

  test("a file that was cut or holds other tokens is refused", async () => {
    await expect(
      TokenDataset.open(await make("b.bin", 3), { contextLength, vocabSize: 1000, batchSize: 5 }),
    ).rejects.toThrow(/3 tokens/);
    await expect(
      TokenDataset.open(await file("odd.bin", Uint8Array.of(1, 2, 3)), {
        contextLength,
        vocabSize: 1000,
        batchSize: 5,
      }),
    ).rejects.toThrow(/whole tokens/);
    const dataset = await TokenDataset.open(await make("c.bin", 100), { contextLength, vocabSize: 50, batchSize: 5 });
    await expect(Promise.all([0, 1, 2, 3, 4].map((i) => dataset.batch(i)))).rejects.toThrow(/ids below 50/);
  });
});

describe("examples", () => {
  const examples = Array.from({ length: 7 }, (_, i) => i);
  const collate = (batch: readonly number[]) => ({ x: [...batch] });

  test("in their order come once each, the last batch smaller", async () => {
    const source = batchesOf(examples, { batchSize: 3, collate, isShuffled: false });
    expect(source.count).toBe(3);
    expect(await Promise.all([0, 1, 2].map((i) => source.batch(i)))).toEqual([
      { x: [0, 1, 2] },
      { x: [3, 4, 5] },
      { x: [6] },
    ]);
  });

  test("shuffled come once an epoch, in an order given by seed and epoch", async () => {
    const order = async (seed: number) => {
      const source = batchesOf(examples, { batchSize: 2, collate, seed });
      expect(source.count).toBeUndefined();
      return (await Promise.all([0, 1, 2, 3, 4, 5, 6].map((i) => source.batch(i)))).flatMap(({ x }) => x);
    };
    const two = await order(1);
    for (const epoch of [two.slice(0, 7), two.slice(7)]) expect([...epoch].sort()).toEqual(examples);
    expect(two.slice(0, 7)).not.toEqual(two.slice(7));
    expect(await order(1)).toEqual(two);
    expect(await order(2)).not.toEqual(two);
  });

  test("are needed, and a size of batches too", () => {
    expect(() => batchesOf([], { batchSize: 2, collate })).toThrow(/received 0 examples/);
    expect(() => batchesOf(examples, { batchSize: 0, collate })).toThrow(/batchSize of at least 1/);
    expect(() => batchesOf(examples, { batchsize: 2, collate } as never)).toThrow(/did you mean "batchSize"/);
  });
});

test("permute is a permutation for every size", () => {
  for (const size of [1, 2, 3, 10, 64, 65, 1000]) {
    expect(new Set(Array.from({ length: size }, (_, i) => permute(i, size, 42))).size).toBe(size);
  }
});
