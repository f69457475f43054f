/** Networks that others trained and TensorFlow.js keeps: what it answers with them, from the same weights and photo. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { readJson } from "../../files/index.ts";
import { loadImage } from "../../processors/index.ts";
import { compile, grad, mean, mul, type Tensor, tensor } from "../../tensor/index.ts";
import { expectClose } from "../../testing/close.ts";
import { FaceWeights, faceNetworks } from "../../testing/face-api.ts";
import { installedPackages } from "../../testing/wheels.ts";

interface Golden {
  networks: Record<
    string,
    { side: number; best?: number[]; outputs: Record<string, { shape: number[]; data: number[] }> }
  >;
}
const { networks } = (await readJson(
  fileURLToPath(new URL("../../../golden/face-api.json", import.meta.url)),
)) as unknown as Golden;
const SHA256 = "2e479b9d71fa636397b7b1f20384c6a893e241a6ddad55dc589f0e7cf6b5973d";

const installed = installedPackages("@vladmandic/face-api@1.7.15");
const folder = "folder" in installed ? join(installed.folder, "node_modules/@vladmandic/face-api") : "";
let photo: Awaited<ReturnType<typeof loadImage>>;
describe.skipIf("reason" in installed)(
  `@vladmandic/face-api${"reason" in installed ? `: ${installed.reason}` : ""}`,
  () => {
    beforeAll(async () => {
      const digest = createHash("sha256");
      for (const name of Object.keys(networks)) digest.update(await readFile(join(folder, `model/${name}.bin`)));
      expect(digest.digest("hex")).toBe(SHA256);
      photo = await loadImage(join(folder, "demo/sample1.jpg"));
    });

    /** Every so many pixels of the largest square from the left edge: [1, 3, side, side]. */
    function square(side: number): Tensor<"f32"> {
      const { width, height, data } = photo;
      const place = (i: number) => Math.floor((i * Math.min(width, height)) / side);
      const values = Float32Array.from({ length: 3 * side * side }, (_, n) => {
        const [c, y, x] = [Math.floor(n / (side * side)), Math.floor(n / side) % side, n % side];
        return data[(place(y) * width + place(x)) * (data.length / (width * height)) + c];
      });
      return tensor(values, { shape: [1, 3, side, side] });
    }

    test.each(Object.entries(networks))("%s", async (name, { side, best, outputs }) => {
      const weights = await FaceWeights.open(folder, name);
      const run = compile((pixels: Tensor<"f32">) => faceNetworks[name](weights, pixels));
      const results = await run(square(side));
      for (const [key, expected] of Object.entries(outputs)) {
        const numbers = Array.from(await results[key].read());
        const width = best ? numbers.length / 5118 : 0; // of 5118 boxes the 40 likeliest were written down
        const chosen = best ? best.flatMap((i) => numbers.slice(i * width, (i + 1) * width)) : numbers;
        expectClose(`${name} ${key}`, Float32Array.from(chosen), expected.data, 1e-4);
      }
      run.dispose();
    });

    test("has gradients, as what is trained here", async () => {
      const weights = await FaceWeights.open(folder, "face_expression_model");
      const step = compile((pixels: Tensor<"f32">) => {
        const { probabilities } = faceNetworks.face_expression_model(weights, pixels);
        return grad(mean(mul(probabilities, probabilities)), [pixels])[0];
      });
      const numbers = await (await step(square(112))).read();
      expect(numbers.every(Number.isFinite) && numbers.some((value) => value !== 0)).toBe(true);
      step.dispose();
    });
  },
);
