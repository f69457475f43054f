/** Drawn pictures with objects, for tests of detectors. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { drawsOf } from "../augment/index.ts";

/** The classes of the rectangles. */
export const drawnClasses = ["dark", "light"] as const;
/** The COCO file of a folder with drawings. */
export const drawnCoco = "coco/annotations/instances_train.json";

/** A picture, and the rectangles in it: left, top, width and height. */
export interface Drawing {
  width: number;
  height: number;
  objects: { label: number; box: [number, number, number, number] }[];
}

/** Grey pictures with one or two rectangles, left and right; the last has none. */
export const drawingsOf = (count: number): Drawing[] =>
  Array.from({ length: count }, (_, i) => {
    const draws = drawsOf(5, i);
    const size = { width: 48, height: i % 2 === 0 ? 32 : 40 };
    const objects = Array.from({ length: i === count - 1 ? 0 : 1 + (i % 2) }, (_, j) => {
      const [width, height] = [8 + draws.integer(10), 10 + draws.integer(14)];
      const box = [2 + 24 * j + draws.integer(22 - width), draws.integer(size.height - height), width, height];
      return { label: draws.integer(2), box: box as [number, number, number, number] };
    });
    return { ...size, objects };
  });

async function draw({ width, height, objects }: Drawing, path: string): Promise<void> {
  const data = new Uint8Array(width * height * 3).fill(128);
  for (const { label, box } of objects)
    for (let y = box[1]; y < box[1] + box[3]; y++)
      data.fill(label === 0 ? 10 : 245, 3 * (y * width + box[0]), 3 * (y * width + box[0] + box[2]));
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path);
}

/** The same pictures as COCO (coco/), YOLO (yolo/) and imagefolder (folder/) have them. */
export async function writeDrawings(folder: string, drawings: readonly Drawing[]): Promise<void> {
  for (const part of ["coco/annotations", "coco/train", "yolo/images/train", "yolo/labels/train", "folder"])
    await mkdir(join(folder, part), { recursive: true });
  const names = drawings.map((_, i) => `${i}.png`);
  const metadata: string[] = [];
  for (const [i, drawing] of drawings.entries()) {
    const { width, height, objects } = drawing;
    for (const part of ["coco/train", "yolo/images/train", "folder"]) await draw(drawing, join(folder, part, names[i]));
    const lines = objects.map(({ label, box: [x, y, w, h] }) =>
      [label, (x + w / 2) / width, (y + h / 2) / height, w / width, h / height].join(" "),
    );
    if (lines.length > 0) await writeFile(join(folder, "yolo/labels/train", `${i}.txt`), `${lines.join("\n")}\n`);
    const row = { bbox: objects.map(({ box }) => box), categories: objects.map(({ label }) => label) };
    metadata.push(JSON.stringify({ file_name: names[i], objects: row }));
  }
  await writeFile(join(folder, "folder/metadata.jsonl"), `${metadata.join("\n")}\n`);
  await writeFile(
    join(folder, "yolo/data.yaml"),
    "path: .\ntrain: images/train\nval: images/train\nnames: [dark, light]\n",
  );
  const annotations = drawings.flatMap(({ objects }, image) =>
    objects.map(({ label, box }) => ({ image_id: image, category_id: label + 1, bbox: box, area: box[2] * box[3] })),
  );
  const coco = {
    images: drawings.map(({ width, height }, id) => ({ id, file_name: names[id], width, height })),
    annotations: annotations.map((each, id) => ({ id, iscrowd: 0, ...each })),
    categories: drawnClasses.map((name, i) => ({ id: i + 1, name })),
  };
  await writeFile(join(folder, drawnCoco), JSON.stringify(coco));
}
