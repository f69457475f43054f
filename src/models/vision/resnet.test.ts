/** Checkpoints of timm and torchvision: a ResNet-18 under their names is the model it was under transformers'. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSafetensors, writeJson, writeSafetensors } from "../../files/index.ts";
import { normal, randomKey } from "../../tensor/index.ts";
import { fromConfig, fromPretrained, savePretrained } from "../index.ts";

const labels = ["cat", "dog"];
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(scratch, { recursive: true }));

/** A name of transformers as timm's. */
function timmName(name: string): string {
  const places: [RegExp, string][] = [
    [/^classifier\.1\./, "fc."],
    [/^resnet\.embedder\.embedder\.convolution\./, "conv1."],
    [/^resnet\.embedder\.embedder\.normalization\./, "bn1."],
  ];
  for (const [from, to] of places) if (from.test(name)) return name.replace(from, to);
  const [, stage, block, part, kind, rest] =
    /^resnet\.encoder\.stages\.(\d)\.layers\.(\d)\.(shortcut|layer\.\d)\.(convolution|normalization)\.(.*)$/.exec(
      name,
    ) as RegExpExecArray;
  const isConvolution = kind === "convolution";
  const layerName =
    part === "shortcut"
      ? `downsample.${isConvolution ? 0 : 1}`
      : `${isConvolution ? "conv" : "bn"}${Number(part.slice(-1)) + 1}`;
  return `layer${Number(stage) + 1}.${block}.${layerName}.${rest}`;
}

test("a ResNet-18 of timm", async () => {
  const config = {
    model_type: "resnet",
    layer_type: "basic",
    depths: [2, 2, 2, 2],
    hidden_sizes: [64, 128, 256, 512],
    num_labels: 2,
  };
  const model = fromConfig(config, { task: "image-classification", key: randomKey(3) });
  const pixelValues = normal(randomKey(5), [1, 3, 32, 32]);
  const expected = await model.forward({ pixelValues }).logits.read();
  await savePretrained(model, join(scratch, "ours"));
  const { tensors } = await readSafetensors(join(scratch, "ours", "model.safetensors"));
  const renamed = new Map([...tensors].map(([name, tensor]) => [timmName(name), tensor]));
  expect(
    [...renamed.keys()].filter((name) =>
      /^(conv1\.weight|layer4\.1\.bn2\.running_var|layer2\.0\.downsample\.0\.weight|fc\.bias)$/.test(name),
    ),
  ).toHaveLength(4);
  const folder = join(scratch, "timm");
  await savePretrained(model, folder);
  await writeSafetensors(join(folder, "model.safetensors"), renamed);
  await writeJson(join(folder, "config.json"), {
    architecture: "resnet18",
    num_classes: 2,
    pretrained_cfg: { label_names: labels },
  });
  const same = await fromPretrained(folder, { task: "image-classification" });
  expect((same.config as unknown as { labels: string[] }).labels).toEqual(labels);
  expect(await same.forward({ pixelValues }).logits.read()).toEqual(expected);
  for (const each of [model, same]) each.dispose();
});
