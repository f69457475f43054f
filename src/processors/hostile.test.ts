/** Pictures, sounds and settings that ask for more than they hold; and pictures of all modes as Pillow reads them. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { DataError, limits } from "../base/index.ts";
import { wavFile } from "../testing/wav-file.ts";
import { ImageProcessor, loadImage, readWav, resample, resizeImage, toRgb } from "./index.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../golden/image-colours/${name}`, import.meta.url));

describe("pixels of Pillow", () => {
  const expected = JSON.parse(readFileSync(golden("expected.json"), "utf8")) as Record<
    string,
    { mode: string; shape: number[]; data: number[] }
  >;
  test.each(Object.entries(expected).map(([name, each]) => [name, each.mode, each] as const))(
    "%s, in Pillow's mode %s",
    async (name, _, { shape, data }) => {
      const { width, height, channels, data: pixels } = toRgb(await loadImage(golden(name)), false);
      expect([height, width, channels]).toEqual(shape);
      const largest = Math.max(...data.map((value, i) => Math.abs(value - pixels[i])));
      expect(largest).toBeLessThanOrEqual(name.endsWith(".jpg") ? 1 : 0); // libraries of JPEG round in their ways
    },
  );
});

/** A PNG of one colour, of which only the header is large. */
function png(width: number, height: number): Buffer {
  const table = Array.from(
    { length: 256 },
    (_, n) => Array.from({ length: 8 }).reduce<number>((c) => (c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1), n) >>> 0,
  );
  const crc = (bytes: Buffer) =>
    (bytes.reduce((c, byte) => table[(c ^ byte) & 255] ^ (c >>> 8), 0xffffffff) ^ 0xffffffff) >>> 0;
  const chunk = (kind: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length);
    frame.writeUInt32BE(crc(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header.set([1, 0], 8);
  const rows = deflateSync(Buffer.alloc(1000));
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", rows),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

describe("pictures", () => {
  test.each([
    ["a PNG", png(16_000, 16_000)],
    ["a long PNG", png(900_000, 1000)],
    ["an SVG", Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="30000" height="30000"/>')],
  ])("%s of more pixels than the limit is not decoded", async (_, bytes) => {
    const before = process.memoryUsage().rss;
    await expect(loadImage(bytes)).rejects.toThrow(/limit imagePixels|pixel limit|too large/i);
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28);
  });
  test("a long narrow picture is not made wide", () => {
    const line = { width: 1, height: 100_000, channels: 3, data: new Uint8Array(300_000) };
    const processor = new ImageProcessor({ image_processor_type: "CLIPImageProcessor" });
    expect(() => processor.process([line])).toThrow(/limit imagePixels/);
    expect(() => resizeImage(line, { width: 0, height: 5 }, "bilinear")).toThrow(/at least one pixel/);
  });
});

describe("SVGs", () => {
  const svg = (body: string, size = 100, before = "") =>
    Buffer.from(
      `${before}<svg xmlns="http://www.w3.org/2000/svg" xmlns:xi="http://www.w3.org/2001/XInclude" width="${size}" height="${size}">${body}</svg>`,
    );
  const uses = Array.from({ length: 20 }, (_, i) => `<g id="a${i + 1}">${`<use href="#a${i}"/>`.repeat(10)}</g>`).join(
    "",
  );
  const chain = Array.from({ length: 300 }, (_, i) => `<g id="a${i + 1}"><use href="#a${i}"/></g>`).join("");
  const layers = (count: number) =>
    `${'<g opacity="0.5">'.repeat(count)}<rect width="9" height="9"/>${"</g>".repeat(count)}`;
  const style = (text: string) => svg(`<style>${text}</style><rect/>`);

  test.each<[string, Buffer, RegExp]>([
    ["a filter", svg('<filter id="f"><feMorphology radius="900"/></filter>'), /<filter>/],
    ["a filter of CSS", svg('<rect style="fill:red; filter: blur(900px)"/>'), /a filter/],
    ["a filter in an attribute", svg('<rect filter="blur(900px)"/>'), /a filter/],
    ["a filter with a prefix", svg('<s:filter xmlns:s="http://www.w3.org/2000/svg"/>'), /<filter>/],
    ["a filter in a style sheet", style("rect { filter : blur(9px) }"), /a filter/],
    [
      "a filter behind an end that is none",
      style("<![CDATA[ /* </style> */ rect{filter:blur(9px)} ]]>"),
      /end in the middle/,
    ],
    ["a filter behind an escape", svg('<rect style="f&#105;lter:blur(9px)"/>'), /escapes/],
    ["a marker", svg('<path marker-mid="url(#m)"/>'), /a marker/],
    ["a picture beside it", svg('<image href="secret.png"/>'), /a picture from outside/],
    ["a drawing in it", svg('<image href="data:image/svg+xml;base64,AAAA"/>'), /a picture from outside/],
    ["another file", svg('<xi:include href="other.svg"/>'), /<include>/],
    [
      "a style sheet from outside",
      svg("<rect/>", 100, '<?xml-stylesheet href="data:text/css,x"?>'),
      /a style sheet from outside/,
    ],
    ["entities", svg("&a;", 100, '<!DOCTYPE svg [<!ENTITY a "b">]>'), /a DOCTYPE with declarations/],
    ["another encoding", svg("<rect/>", 100, '<?xml version="1.0" encoding="UTF-7"?>'), /the encoding UTF-7/],
    ["UTF-16", Buffer.from("\ufeff<svg/>", "utf16le"), /another encoding/],
    ["compressed text", gzipSync(svg("")), /compressed text/],
    ["references that double", svg(`<defs><rect id="a0"/>${uses}</defs><use href="#a20"/>`), /limit svgWork/],
    ["references that lead back", svg('<g id="a"><use href="#a"/></g>'), /limit svgDepth/],
    ["references that go far", svg(`<rect id="a0"/>${chain}`), /limit svgDepth/],
    [
      "patterns in patterns",
      svg(`${uses.replaceAll('<use href="#', '<rect fill="url(#').replaceAll('"/>', ')"/>')}`, 100),
      /limit svgWork/,
    ],
    ["deep elements", svg(layers(100_000)), /limit svgDepth/],
    ["layers in layers", svg(layers(150), 4000), /limit svgLayers/],
    ["many layers", svg('<rect width="9" height="9"/>'.repeat(20_000), 4000), /limit svgWork/],
    ["a long text", svg(" ".repeat(2 ** 23)), /limit svgBytes/],
    ["an end in the middle", Buffer.from(`<svg ${'"<'.repeat(100_000)}`), /ends in the middle/],
  ])("%s is refused before it is drawn", async (_, bytes, message) => {
    const started = performance.now();
    await expect(loadImage(bytes)).rejects.toThrow(message);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test("a drawing as programs make them is drawn", async () => {
    const body = `<defs><path id="m" d="M0 0h50v50h-50z"/><linearGradient id="g"><stop stop-color="#ff0000"/></linearGradient><clipPath id="c"><rect width="80" height="80"/></clipPath></defs>
      <style type="text/css"><![CDATA[ .a { fill: url(#g) } ]]></style><!-- a < b --><g clip-path="url(#c)"><use xlink:href="#m" xmlns:xlink="http://www.w3.org/1999/xlink" class="a"/></g>`;
    const doctype =
      '<?xml version="1.0" encoding="utf-8" standalone="no"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">';
    const { width, height, data } = await loadImage(svg(body, 100, doctype));
    expect([width, height, ...data.subarray(0, 4)]).toEqual([100, 100, 255, 0, 0, 255]);
  });

  test("a file is drawn without what stands beside it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kindling-"));
    await writeFile(join(folder, "plain.svg"), svg('<rect width="100" height="100" fill="#00ff00"/>'));
    await writeFile(join(folder, "outer.svg"), svg('<image href="plain.svg" width="100" height="100"/>'));
    expect([...(await loadImage(join(folder, "plain.svg"))).data.subarray(0, 4)]).toEqual([0, 255, 0, 255]);
    await expect(loadImage(join(folder, "outer.svg"))).rejects.toThrow(/a picture from outside/);
    await rm(folder, { recursive: true });
  });
});

describe("preprocessor_config.json", () => {
  const clip = (fields: object) => () => new ImageProcessor({ image_processor_type: "CLIPImageProcessor", ...fields });
  test.each([
    [{ size: 1e9 }, /, size: .*limit imageSide/],
    [{ size: { height: 1e9, width: 1 } }, /, size: .*limit imageSide/],
    [{ crop_size: 1e9 }, /, crop_size: .*limit imageSide/],
    [{ image_std: [0.5, 0, 0.5] }, /, image_std: expected three numbers other than 0/],
    [{ image_std: [0.5, null, 0.5] }, /, image_std/],
    [{ image_mean: [1, 2] }, /, image_mean: expected three numbers/],
    [{ rescale_factor: "x" }, /, rescale_factor: expected a number; received "x"/],
    [{ do_resize: "yes" }, /, do_resize: expected true or false/],
    [{ size: 224, crop_pct: 1e-9, image_processor_type: "ConvNextImageProcessor" }, undefined],
    [{ crop_pct: 0 }, /, crop_pct/],
    [{ resample: "constructor" }, /a filter from 0 to 5/],
    [{ image_processor_type: "Qwen2VLImageProcessor", patch_size: 1e9 }, /patch_size: .*limit imageSide/],
    [{ image_processor_type: "Qwen2VLImageProcessor", max_pixels: 1e12 }, /limit imagePixels/],
  ])("%j", (fields, message) => {
    if (message) expect(clip(fields)).toThrow(message);
    else
      expect(() => clip(fields)().process([{ width: 2, height: 1, channels: 3, data: new Uint8Array(6) }])).toThrow(
        /limit imagePixels/,
      );
  });
});

describe("sounds", () => {
  const wav = (rate: number, channels = 1) => wavFile({ rate, channels, bytes: 2000 });
  test.each([0, 1, 999])("a rate of %d is too low", (rate) =>
    expect(() => readWav(wav(rate))).toThrow(/at least 1000 samples a second/),
  );
  test.each([768_001, 4_294_967_291])("a rate of %d is too high", (rate) =>
    expect(() => readWav(wav(rate))).toThrow(/limit samplingRate/),
  );
  test("channels are bounded", () => expect(() => readWav(wav(16_000, 65_535))).toThrow(/limit soundChannels/));
  test.each([Number.NaN, Number.POSITIVE_INFINITY, -1e39])("floats of %d are no samples", (value) => {
    const bytes = wavFile({ kind: 3, bits: 64, bytes: 2000 });
    expect(readWav(bytes).channels[0]).toHaveLength(250);
    bytes.writeDoubleLE(value, 44 + 8 * 249);
    expect(() => readWav(bytes)).toThrow(/samples that are numbers/);
  });
  test("rates without a common divisor take what their sound takes", () => {
    const started = performance.now();
    const { channels, samplingRate } = readWav(wav(44_099));
    expect(resample(channels[0], samplingRate, 16_000)).toHaveLength(Math.ceil((16_000 * 1000) / 44_099));
    expect(resample(channels[0], 767_999, 16_000)).toHaveLength(21);
    expect(performance.now() - started).toBeLessThan(5000);
  });
  test("the same as filters of full length", () => {
    const samples = Float32Array.from({ length: 400 }, (_, i) => Math.sin(i / 3) + Math.cos(i / 17));
    for (const [from, to] of [
      [44_100, 16_000],
      [8_000, 16_000],
      [16_001, 16_000],
      [16_000, 44_099],
    ]) {
      const resampled = resample(samples, from, to);
      const common = (a: number, b: number): number => (b === 0 ? a : common(b, a % b));
      const [old, fresh] = [from / common(from, to), to / common(from, to)];
      const cutoff = Math.min(old, fresh) * 0.99;
      const exact = (i: number) =>
        samples.reduce((sum, sample, at) => {
          const time = (at / old - i / fresh) * cutoff;
          if (Math.abs(time) >= 6) return sum;
          return (
            sum +
            sample *
              (time === 0 ? 1 : Math.sin(Math.PI * time) / (Math.PI * time)) *
              Math.cos((Math.PI * time) / 12) ** 2 *
              (cutoff / old)
          );
        }, 0);
      for (let i = 0; i < resampled.length; i += 7) expect(Math.abs(resampled[i] - exact(i))).toBeLessThan(1e-5);
    }
  });
  test("samples beyond the limit are not made", () => {
    const samples = { length: limits.soundSamples } as Float32Array;
    expect(() => resample(samples, 16_000, 48_000)).toThrow(/limit soundSamples/);
    expect(() => resample(new Float32Array(1e6), 2 ** 31 - 1, 2 ** 31 - 3)).toThrow(DataError);
  });
});
