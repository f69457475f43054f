/** Pictures with objects as COCO and YOLO store them: rows, classes, and files that are damaged. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BadRows } from "./bad-rows.ts";
import { openObjectRows } from "./object-rows.ts";
import type { Rows } from "./rows.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-object-rows-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function write(files: Readonly<Record<string, unknown>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), typeof content === "string" ? content : JSON.stringify(content));
  }
}

async function all(rows: Rows | undefined): Promise<unknown[]> {
  const list: unknown[] = [];
  for await (const row of rows ?? []) list.push(row);
  return list;
}

const categories = [
  { id: 7, name: "dog", supercategory: "animal" },
  { id: 3, name: "cat" },
];
const images = [
  { id: 10, file_name: "a.png", width: 20, height: 10 },
  { id: 11, file_name: "deep/b.png", width: 20, height: 10 },
];
const annotations = [
  { id: 1, image_id: 11, category_id: 7, bbox: [1, 2, 3, 4], area: 12, iscrowd: 0 },
  { id: 2, image_id: 11, category_id: 3, bbox: [0, 0, 9, 9], area: 50, iscrowd: 1 },
];

test("COCO: a row for each picture, classes by the order of their ids, pictures beside the file or in a folder", async () => {
  await write({
    "coco/annotations/instances_val.json": { info: {}, images, annotations, categories },
    "coco/val/a.png": "",
    "coco/val/deep/b.png": "",
  });
  const path = join(root, "coco/annotations/instances_val.json");
  const opened = await openObjectRows(path);
  expect(opened?.classes).toEqual(["cat", "dog"]);
  expect(await all(opened?.rows)).toEqual([
    {
      ...{ image: "../val/a.png", width: 20, height: 10 },
      objects: { id: [], bbox: [], category: [], format: "xywh" },
    },
    {
      ...{ image: "../val/deep/b.png", width: 20, height: 10 },
      objects: {
        ...{ id: [1, 2], area: [12, 50], iscrowd: [0, 1], format: "xywh" },
        ...{ bbox: annotations.map(({ bbox }) => bbox), category: ["dog", "cat"] },
      },
    },
  ]);
  expect(opened?.rows.placeOf(1)).toBe(`${path}:2`);
  expect(await opened?.rows.fingerprint()).toMatch(/^[0-9a-f]{64}$/);
  const named = await openObjectRows(path, { pictures: join(root, "elsewhere") });
  expect(await named?.rows.row(0)).toMatchObject({ image: "../../elsewhere/a.png" });
  // as Roboflow writes it: in the folder of its pictures
  await write({
    "flat/_annotations.coco.json": { images: images.slice(0, 1), annotations: [], categories },
    "flat/a.png": "",
  });
  expect(await (await openObjectRows(join(root, "flat")))?.rows.row(0)).toMatchObject({ image: "a.png" });
});

test("COCO: what is damaged is said with its file and number", async () => {
  const open = async (file: object, badRows?: BadRows) => {
    await write({ "bad/x.json": { images, annotations, categories, ...file }, "bad/a.png": "" });
    return openObjectRows(join(root, "bad/x.json"), { badRows });
  };
  await expect(open({ images: [images[0], images[0]] })).rejects.toThrow("an id of its own for each picture");
  await expect(open({ categories: [{ id: 1 }] })).rejects.toThrow("an id of its own and a name");
  await expect(open({ categories: undefined })).rejects.toThrow("categories: expected a list of objects");
  await expect(open({ images: [{ ...images[0], file_name: "missing.png" }], annotations: [] })).rejects.toThrow(
    /missing\.png in one of/,
  );
  const stray = [...annotations, { id: 5, image_id: 99, category_id: 7, bbox: [0, 0, 1, 1] }];
  await expect(open({ annotations: stray })).rejects.toThrow(/x\.json:3: .*annotation 5, of the picture 99/);
  const unknown = [{ id: 6, image_id: 10, category_id: 8, bbox: [0, 0, 1, 1] }, ...annotations];
  await expect(open({ annotations: unknown })).rejects.toThrow(/x\.json:1: .*annotation 6 has the category_id 8/);
  const badRows = new BadRows({ onBadRow: "skip" });
  expect((await open({ annotations: [...stray, ...unknown] }, badRows))?.rows.count).toBe(1);
  expect(badRows.count).toBe(2);
});

const label = "1 0.5 0.5 0.25 0.5\n\n0 0.25 0.5 0.5 1\n";

test("YOLO: by a YAML file with splits, or a folder with labels in the folder beside it or with the pictures", async () => {
  await write({
    "yolo/data.yaml": "path: .\ntrain: images/train\nval: [images/val]\nnames:\n  0: cat\n  1: dog\n",
    "yolo/images/train/a.png": "",
    "yolo/images/train/b.png": "",
    "yolo/labels/train/b.txt": label,
    "yolo/images/val/c.png": "",
    "yolo/labels/val/c.txt": "0 0.5 0.5 1 1",
  });
  const opened = await openObjectRows(join(root, "yolo/data.yaml"));
  expect(opened?.classes).toEqual(["cat", "dog"]);
  const format = "normalized-cxcywh";
  const boxes = [
    [0.5, 0.5, 0.25, 0.5],
    [0.25, 0.5, 0.5, 1],
  ];
  expect(await all(opened?.rows)).toEqual([
    { image: "a.png", objects: { bbox: [], category: [], format } },
    { image: "b.png", objects: { bbox: boxes, category: ["dog", "cat"], format } },
  ]);
  expect(opened?.rows.placeOf(1)).toBe(join(root, "yolo/images/train/b.png"));
  const validation = await openObjectRows(join(root, "yolo/data.yaml"), { split: "validation" });
  expect(validation?.rows.count).toBe(1);
  await expect(openObjectRows(join(root, "yolo/data.yaml"), { split: "test" })).rejects.toThrow('the split "test"');

  await write({ "beside/b.png": "", "beside/b.txt": label, "beside/classes.txt": "ham\negg\n" });
  const beside = await openObjectRows(join(root, "beside"));
  expect(await beside?.rows.row(0)).toMatchObject({ objects: { category: ["egg", "ham"] } });
  const numbers = await openObjectRows(join(root, "yolo/images/train"));
  expect(await numbers?.rows.row(1)).toMatchObject({ objects: { category: [1, 0] } });
});

test("YOLO: lines that are no labels are said with their number", async () => {
  const open = async (text: string, badRows?: BadRows) => {
    await write({
      "lines/data.yaml": "train: images\nnames: [cat]\n",
      "lines/images/a.png": "",
      "lines/labels/a.txt": text,
    });
    return openObjectRows(join(root, "lines/data.yaml"), { badRows });
  };
  await expect(open("0 0.5 0.5 1 1\n0 1 2 3\n")).rejects.toThrow(/a\.txt:2: .*a line of 4 numbers/);
  await expect(open("1 0.5 0.5 1 1")).rejects.toThrow(/a\.txt:1: .*the class 1, where a number below 1/);
  await expect(open("cat 0.5 0.5 1 1")).rejects.toThrow("the class cat");
  const badRows = new BadRows({ onBadRow: "skip" });
  expect((await open("0 0.5 0.5 1", badRows))?.rows.count).toBe(0);
  expect(badRows.first[0].file).toMatch(/labels.a\.txt$/);
  await rm(join(root, "lines/labels"), { recursive: true });
  await expect(openObjectRows(join(root, "lines/data.yaml"))).rejects.toThrow("1 pictures without any");
});

test("other files are left to openRows", async () => {
  await write({ "rows.json": [{ image: "a.png" }], "squad.json": { data: [{}] }, "plain/a.png": "" });
  await write({ "described/a.png": "", "described/a.txt": "a whale", "described/metadata.jsonl": "" });
  for (const name of ["rows.json", "squad.json", "plain", "described", "missing"])
    expect(await openObjectRows(join(root, name))).toBeUndefined();
});
