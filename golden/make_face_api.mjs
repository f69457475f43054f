// Makes golden/face-api.json: what the networks of @vladmandic/face-api 1.7.15 answer to a photo of their package, by TensorFlow.js.
//
//     npm install --no-save --prefix FOLDER --ignore-scripts @vladmandic/face-api@1.7.15
//     node golden/make_face_api.mjs FOLDER/node_modules/@vladmandic/face-api
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import sharp from "sharp";

const [, , folder] = process.argv;
// the package's bundle for pages brings TensorFlow.js with it, and looks for a page
globalThis.window = globalThis;
globalThis.document = { createElement: () => ({}), body: {} };
for (const name of ["HTMLCanvasElement", "HTMLImageElement", "HTMLVideoElement", "CanvasRenderingContext2D", "ImageData", "Image"]) globalThis[name] ??= class {};
const faceapi = await import(pathToFileURL(join(folder, "dist/face-api.esm.js")));
const { tf, nets } = faceapi;
await tf.setBackend("cpu");

const photo = await sharp(join(folder, "demo/sample1.jpg")).removeAlpha().raw().toBuffer({ resolveWithObject: true });
/** Every so many pixels of the largest square from the left edge: [side, side, 3]. */
function square(side) {
  const { width, height } = photo.info;
  const whole = Math.min(width, height);
  const place = (i) => Math.floor((i * whole) / side);
  const out = new Float32Array(side * side * 3);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) for (let c = 0; c < 3; c++) out[(y * side + x) * 3 + c] = photo.data[(place(y) * width + place(x)) * 3 + c];
  return tf.tensor3d(out, [side, side, 3]);
}

async function load(net, name) {
  const manifest = JSON.parse(await readFile(join(folder, `model/${name}-weights_manifest.json`), "utf8"));
  const bytes = await readFile(join(folder, `model/${name}.bin`));
  net.loadFromWeightMap(tf.io.decodeWeights(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), manifest[0].weights));
  return net;
}
const input = (side) => new faceapi.NetInput([square(side)]);
const numbers = async (tensor) => ({ shape: tensor.shape, data: Array.from(await tensor.data(), (x) => Number(x.toPrecision(7))) });

const networks = {};
const put = async (name, side, outputs) => {
  networks[name] = { side, outputs: Object.fromEntries(await Promise.all(Object.entries(outputs).map(async ([key, value]) => [key, await numbers(value)]))) };
};
await put("tiny_face_detector_model", 224, { boxes: (await load(nets.tinyFaceDetector, "tiny_face_detector_model")).forwardInput(input(224), 224) });
await put("face_landmark_68_model", 112, { points: (await load(nets.faceLandmark68Net, "face_landmark_68_model")).runNet(input(112)) });
await put("face_landmark_68_tiny_model", 112, { points: (await load(nets.faceLandmark68TinyNet, "face_landmark_68_tiny_model")).runNet(input(112)) });
await put("face_expression_model", 112, { probabilities: (await load(nets.faceExpressionNet, "face_expression_model")).forwardInput(input(112)) });
await put("age_gender_model", 112, (await load(nets.ageGenderNet, "age_gender_model")).forwardInput(input(112)));
await put("face_recognition_model", 150, { descriptor: (await load(nets.faceRecognitionNet, "face_recognition_model")).forwardInput(input(150)) });
const found = (await load(nets.ssdMobilenetv1, "ssd_mobilenetv1_model")).forwardInput(input(512));
const best = Array.from(await found.scores[0].data())
  .map((score, i) => [score, i])
  .sort(([a], [b]) => b - a)
  .slice(0, 40)
  .map(([, i]) => i);
await put("ssd_mobilenetv1_model", 512, { scores: tf.gather(found.scores[0], best), boxes: tf.gather(found.boxes[0], best) });
networks.ssd_mobilenetv1_model.best = best;
await writeFile(new URL("face-api.json", import.meta.url), `${JSON.stringify({ madeBy: "golden/make_face_api.mjs, @vladmandic/face-api 1.7.15", networks })}\n`);
