// @ts-check
/**
 * What becomes of a device that is asked for more memory than the card has, and of one whose thread ends in the middle
 * of a run: an error that says so, and a new device that works.
 */
import { Device } from "../../../dist/runtime/index.js";
import { add, compile, ones, sum, tensor } from "../../../dist/tensor/index.js";
import { isSmallest, provider, report, textOf } from "./part.mjs";

/** @type {Record<string, unknown>} */
const result = {};

/** @param {() => Promise<unknown>} attempt */
const outcomeOf = (attempt) =>
  attempt().then(
    (value) => `works: ${value}`,
    (cause) => textOf(cause),
  );

/** @param {Device} device */
const works = (device) =>
  outcomeOf(async () => compile((/** @type {any} */ x) => sum(x), { device })(tensor([1, 2])).item());

// buffers of 1 GiB each, all needed at the end
const GIB_ELEMENTS = 2 ** 28;
const COUNT = isSmallest ? 4 : 100;
const greedy = new Device({ type: provider, memoryLimit: Number.POSITIVE_INFINITY });
result.tooMuchMemory = await outcomeOf(async () => {
  const scale = tensor(isSmallest ? 1 : 2);
  const size = isSmallest ? 2 ** 10 : GIB_ELEMENTS;
  const keep = [];
  const make = compile((/** @type {any} */ x, /** @type {any} */ i) => add(ones([size]), add(x, i)), {
    device: greedy,
  });
  for (let i = 0; i < COUNT; i++) {
    const part = make(scale, i);
    keep.push(part);
    const check = compile((/** @type {any} */ x) => sum(x), { device: greedy });
    await check(part).item();
    result.gibibytesHeld = i + 1;
    if (i % 10 === 0) report(result);
  }
  return `${COUNT} buffers are held`;
});
report(result);
result.sameDeviceAfterwards = await works(greedy);
report(result);
result.closed = await outcomeOf(async () => {
  await greedy.close();
  return "closed";
});
const fresh = new Device({ type: provider });
result.newDevice = await works(fresh);
report({ ...result, isComplete: true });
await fresh.close();
