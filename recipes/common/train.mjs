/** Runs of the recipes: the options of their command, and a training by a config. */
import { parseArgs } from "node:util";
import { methods, readConfigFile, runMethod } from "kindling/methods";

/** What the command line says, as numbers. @param defaults by name; undefined: what the config says */
export function numbersOf(defaults) {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: "string" }]));
  const { values } = parseArgs({ options });
  const given = Object.entries(values).map(([name, value]) => [name, Number(value)]);
  return { ...defaults, ...Object.fromEntries(given) };
}

/**
 * Trains anew by a config file, and tells of every 20th step and each evaluation.
 * @returns the result's folder, the size of a batch, how many steps there were, and their seconds, without evaluations
 */
export async function trained(config, { output, seed, steps }) {
  const overrides = [`output=${JSON.stringify(output)}`, `training.seed=${seed}`];
  if (steps !== undefined) overrides.push(`training.steps=${steps}`);
  const resolved = await readConfigFile(config, overrides, methods);
  const result = { path: "", batchSize: resolved.config.training.batchSize, steps: 0, seconds: 0 };
  let last = performance.now();
  for await (const event of runMethod(resolved, { restart: true, onWarning: console.warn })) {
    const now = performance.now();
    if (event.type === "step" || event.type === "checkpoint") result.seconds += (now - last) / 1000;
    last = now;
    if (event.type === "saved") result.path = event.path;
    if (event.type === "step") result.steps = event.step;
    if (event.type === "step" && event.step % 20 === 0) tell({ step: event.step, loss: event.loss, ...event.metrics });
    if (event.type === "evaluation") {
      const { step, validationLoss, metrics } = event;
      tell({ step, validationLoss, ...metrics });
    }
    if (event.type === "sample") console.error(`${event.prompt} -> ${event.text}`);
  }
  return result;
}

/** Progress goes beside the result, which alone is on the standard output. */
const tell = (numbers) =>
  console.error(
    Object.entries(numbers)
      .map(([name, value]) => `${name} ${Number(value.toFixed(4))}`)
      .join(", "),
  );
