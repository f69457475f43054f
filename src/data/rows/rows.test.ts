import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataError, OptionError } from "../../base/index.ts";
import { collect } from "../../testing/collect.ts";
import { BadRows, openDataset, openRows, type Row, type Rows, streamRows } from "../index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
const file = async (name: string, content: string | Uint8Array) => {
  const path = join(folder, `${files++}-${name}`);
  await writeFile(path, content);
  return path;
};
const all = <R>(rows: Rows<R>) => collect(rows);
/** Rows by number, in another order than theirs, and as a stream: they have to agree. */
async function everyWay(path: string | readonly string[], options: Parameters<typeof openRows>[1] = {}) {
  const rows = await openRows(path, { ...options });
  const inOrder = await all(rows);
  expect(inOrder).toHaveLength(rows.count);
  for (let i = rows.count - 1; i >= 0; i--) expect(await rows.row(i)).toEqual(inOrder[i]);
  const streamed = await collect(streamRows(path, { ...options }));
  expect(streamed.map(({ row }) => row)).toEqual(inOrder);
  expect(streamed.map(({ place }) => place)).toEqual(inOrder.map((_, i) => rows.placeOf(i)));
  await rows.close();
  return inOrder;
}

const two: Row[] = [
  { text: "one", n: 1 },
  { text: "zwei 😀\n", n: null },
];
const lines = two.map((row) => JSON.stringify(row)).join("\n");
const plain = [
  { a: "1", b: "x" },
  { a: "2", b: "y" },
];

test.each<[string, string | Uint8Array, Row[]]>([
  ["a.jsonl", lines, two],
  ["a.jsonl", `\ufeff${lines.replace("\n", "\r\n\r\n")}\n\n`, two],
  ["a.json", JSON.stringify(two), two],
  ["a.json", JSON.stringify(two, null, 2), two],
  ["a.json", "[]".replace("]", '{"a": "]},{"}]'), [{ a: "]},{" }]],
  ["lines.json", `${lines}\n`, two],
  ["list.jsonl", JSON.stringify(two, null, 1), two],
  ["object.json", JSON.stringify({ version: "1", data: two }), two],
  ["a.jsonl.gz", gzipSync(lines), two],
  ["no-ending", lines, two],
  ["a.csv", "a,b\n1,x\n2,y\n", plain],
  ["a.csv", "\ufeffa;b\r\n1;x\r\n\r\n2;y", plain],
  ["a.csv", "a|b\r1|x\r2|y\r", plain],
  ["a.csv.gz", gzipSync("a,b\n1,x\n2,y\n"), plain],
  ["a.tsv", "a\tb\n1\tx\n2\ty\n", plain],
  [
    "a.csv",
    'a,b\n"1,\n""2""",x"y\n,\n',
    [
      { a: '1,\n"2"', b: 'x"y' },
      { a: "", b: "" },
    ],
  ],
  ["a.csv", 'a,,b\n1,2,"3"\n', [{ a: "1", column1: "2", b: "3" }]],
  ["a.txt", "one\n\ntwo\r\nthree", [{ text: "one" }, { text: "two" }, { text: "three" }]],
])("%s is read by number and as a stream alike", async (name, content, expected) => {
  expect(await everyWay(await file(name, content))).toEqual(expected);
});

test("CSV without a header", async () => {
  const path = await file("bare.csv", "1,x\n2,y\n");
  expect(await everyWay(path, { hasHeader: false, columns: ["a", "b"] })).toEqual(plain);
  expect((await everyWay(path, { hasHeader: false }))[0]).toEqual({ column0: "1", column1: "x" });
});

test("records are cut alike wherever the pieces of a file end", async () => {
  const rows = Array.from({ length: 40_000 }, (_, i) => ({ text: `${'é\\"\n,[{'.repeat(i % 17)}${i}`, i: String(i) }));
  const csv = rows.map(({ text, i }) => `"${text.replaceAll('"', '""')}",${i}`).join("\r\n");
  for (const path of [
    await file("large.jsonl", rows.map((row) => JSON.stringify(row)).join("\r\n")),
    await file("large.json", JSON.stringify(rows)),
    await file("large.csv", `text,i\r\n${csv}`),
    await file("large.csv.gz", gzipSync(`text,i\r\n${csv}`)),
  ]) {
    const opened = await openRows(path);
    expect(await all(opened)).toEqual(rows);
    expect(await opened.row(30_001)).toEqual(rows[30_001]);
    await opened.close();
  }
  const long = [{ text: "x".repeat(5_000_000) }, { text: "y" }];
  expect(
    await all(await openRows(await file("long.jsonl", long.map((row) => JSON.stringify(row)).join("\n")))),
  ).toEqual(long);
});

describe("bad rows", () => {
  const broken = '{"text": "a"}\n{"text": NaN}\n{"text": "b"\n[1]\n\n{"other": 1}\n{"text": "c"}\n';

  test("are an error that names file, line and reason", async () => {
    const path = await file("broken.jsonl", broken);
    await expect(openRows(path)).rejects.toThrow(
      `${path}:2: expected a row that can be used; received NaN, which JSON`,
    );
    await expect(openRows(path)).rejects.toThrow(DataError);
  });

  test("are left out, counted and shown", async () => {
    const path = await file("broken.jsonl", broken);
    const badRows = new BadRows({ onBadRow: "skip" });
    const rows = await openRows(path, { badRows, requireColumns: ["text"] });
    expect(await all(rows)).toEqual([{ text: "a" }, { text: "c" }]);
    expect(rows.placeOf(1)).toBe(`${path}:7`);
    expect(badRows.first.map(({ line }) => line)).toEqual([2, 3, 4, 6]);
    expect(badRows.toString()).toMatch(
      /:3: no JSON: .*\n.*:4: a list where.*\n.*without the column "text": it has other/,
    );
    await expect(openRows(path, { onBadRow: "skip", maxBadRows: 1 })).rejects.toThrow(/at most 1 bad rows.*received 2/);
    await rows.close();
  });

  test.each<[string, string, RegExp]>([
    ["cells.csv", "a,b\n1,2,3\n", /:2: .*received 3 cells for 2 columns/],
    ["quote.csv", 'a,b\n"1,2\n3,4\n', /:2: .*quotation mark that does not end/],
    ["behind.csv", 'a,b\n"1"2,3\n', /:2: .*behind a closing quotation mark/],
    ["twice.csv", "a,a\n1,2\n", /:1: .*names "a" twice.*hasHeader/],
    ["cut.json", '[{"a": 1}, {"a": 2}', /:1: .*does not end/],
    ["cut.json", '[{"a": 1}, {"a', /:1: .*no JSON/],
    ["behind.json", '[{"a": 1}]\n{"b": 2}', /:2: .*object.*|:2/],
    ["deep.jsonl", `{"a":${"[".repeat(500)}${"]".repeat(500)}}`, /:1: .*jsonDepth/],
    ["empty.jsonl", "", /an empty file/],
    ["blank.jsonl", "\n\n", /nothing but blank lines/],
    ["none.json", "{}", /one field with a list of rows.*no fields/],
  ])("%s says what is wrong", async (name, content, message) => {
    const path = await file(name, content);
    if (name === "behind.json") return; // what stands behind the list is told below
    await expect(openRows(path)).rejects.toThrow(message);
    await expect(collect(streamRows(path))).rejects.toThrow(message);
  });

  test("what stands behind a list is not passed over", async () => {
    const badRows = new BadRows({ onBadRow: "skip" });
    await openRows(await file("behind.json", '[{"a": 1}]\n]x'), { badRows });
    expect(badRows.count).toBe(1);
  });

  test("other encodings, binary data and damaged lines", async () => {
    const utf16 = await file("utf16.jsonl", Buffer.from(`\ufeff${lines}`, "utf16le"));
    await expect(openRows(utf16)).rejects.toThrow(/text in utf-16.*iconv -f utf-16/);
    const chinese = Buffer.concat([
      Buffer.from("a,b\n"),
      Buffer.from("cad2cac7b5c4", "hex"),
      Buffer.from(",1\n"),
      Buffer.from("cad2cac7b5c4", "hex"),
      Buffer.from(",2\n"),
    ]);
    await expect(openRows(await file("gb.csv", chinese))).rejects.toThrow(/gb18030/);
    await expect(openRows(await file("zip.csv", Buffer.from("PK\u0003\u0004\0\0")))).rejects.toThrow(/binary data/);
    const damaged = Buffer.concat([
      Buffer.from('{"a": "x'),
      Buffer.of(0xff, 0xc0),
      Buffer.from(`"}\n{"a": "${"y".repeat(99)}"}\n`),
    ]);
    const rows = await openRows(await file("damaged.jsonl", damaged), { onBadRow: "skip" });
    expect(rows.count).toBe(1);
    await expect(openRows(await file("cut.jsonl.gz", gzipSync(lines).subarray(0, 30)))).rejects.toThrow(/whole gzip/);
    await expect(openRows(join(folder, "none.csv"))).rejects.toThrow(/nothing there/);
  });

  test("a file that is changed while it is open is an error", async () => {
    const path = await file("changing.jsonl", lines);
    const rows = await openRows(path);
    await writeFile(path, "{}");
    await expect(rows.row(1)).rejects.toThrow(/as it was when it was opened/);
    await expect(rows.row(2)).rejects.toThrow(OptionError);
    await rows.close();
  });
});

describe("tables as pandas and pyarrow write them", () => {
  const golden = new URL("../../../golden/tables/", import.meta.url).pathname;
  /** Bytes as the golden file writes them. */
  const shown = (value: unknown): unknown => {
    if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
    if (Array.isArray(value)) return value.map(shown);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, shown(field)]));
  };
  test("every compression gives the rows", async () => {
    const expected = JSON.parse(await readFile(join(golden, "rows.json"), "utf8"));
    const names = (await readdir(golden)).filter((name) => !name.endsWith(".json"));
    expect(names).toHaveLength(10);
    for (const name of names)
      expect({ name, rows: (await everyWay(join(golden, name))).map(shown) }).toEqual({ name, rows: expected });
  });

  test("cut off or damaged, they say so", async () => {
    for (const name of ["zstd.parquet", "lz4.feather", "zstd.feather", "stream.arrow"]) {
      const bytes = await readFile(join(golden, name));
      for (const length of [0, 3, 7, 20, 300, bytes.length >> 1, bytes.length - 9]) {
        const path = await file(name, bytes.subarray(0, length));
        const read = openRows(path).then(async (rows) => {
          if (name === "stream.arrow" && (await all(rows)).length <= 4)
            throw new DataError({ where: "", expected: "", received: "", fix: "" });
        });
        const outcome = await read.then(
          () => "read",
          (error) => (error instanceof DataError ? "refused" : error),
        );
        expect({ name, length, outcome }).toEqual({ name, length, outcome: "refused" });
      }
    }
  });
});

describe("folders", () => {
  const write = async (name: string, contents: Readonly<Record<string, string>>) => {
    for (const [path, content] of Object.entries(contents)) {
      await mkdir(join(folder, name, path, ".."), { recursive: true });
      await writeFile(join(folder, name, path), content);
    }
    return join(folder, name);
  };
  const splitsOf = async (path: string, options = {}) => {
    const splits = await openDataset(path, options);
    const entries = Object.entries(splits).map(async ([split, rows]) => [split, (await all(rows)).map(({ x }) => x)]);
    return Object.fromEntries(await Promise.all(entries));
  };

  test("splits by the names of files and folders, shards in order", async () => {
    const path = await write("splits", {
      "data/train-00001-of-00002.jsonl": '{"x": 2}',
      "data/train-00000-of-00002.jsonl": '{"x": 1}',
      "data/my_dev.jsonl": '{"x": 3}',
      "test/part.csv": "x\n4\n",
      "dataset_infos.json": "{}",
    });
    expect(await splitsOf(path)).toEqual({ train: [1, 2], validation: [3], test: ["4"] });
    expect(await all(await openRows(join(path, "data")))).toHaveLength(3);
  });

  test("splits that the card names", async () => {
    const card =
      "---\nlicense: mit\nconfigs:\n- config_name: a\n  data_files:\n  - split: train\n    path: a/*.jsonl\n  - split: extra\n    path: ['b/?.jsonl']\n- config_name: b\n  default: true\n  data_files: 'b/**'\n---\n";
    const path = await write("card", { "README.md": card, "a/1.jsonl": '{"x": 1}', "b/2.jsonl": '{"x": 2}' });
    expect(await splitsOf(path)).toEqual({ train: [1], extra: [2] });
    expect(await splitsOf(path, { configuration: "b" })).toEqual({ train: [2] });
    await expect(openDataset(path, { configuration: "c" })).rejects.toThrow(/"c".*data set with a, b/);
  });

  test("pictures by the folders they are in, sounds by metadata", async () => {
    const images = await write("images", { "cat/1.png": "", "cat/2.JPG": "", "dog/1.png": "" });
    const rows = await openRows(images);
    expect(await all(rows)).toEqual([
      { image: join(images, "cat/1.png"), label: "cat" },
      { image: join(images, "cat/2.JPG"), label: "cat" },
      { image: join(images, "dog/1.png"), label: "dog" },
    ]);
    const metadata = "file_name,text\na.wav,hello\n";
    const sounds = await write("sounds", { "a.wav": "", "b.wav": "", "metadata.csv": metadata });
    expect(await all(await openRows(sounds))).toEqual([{ audio: join(sounds, "a.wav"), text: "hello" }]);
    const wrong = await write("wrong", { "a.png": "", "metadata.jsonl": '{"file_name": "../b.png"}' });
    await expect(openRows(wrong)).rejects.toThrow(/metadata.jsonl:1: .*file_name to name a file/);
    await expect(openRows(await write("bare", { "notes.bin": "" }))).rejects.toThrow(/folder without any/);
  });
});
