/** `kindling deploy`: files for a private deployment of a model. */
import { lstat, readdir, stat } from "node:fs/promises";
import { totalmem } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { Argument, type Command, InvalidArgumentError } from "commander";
import { DataError } from "../base/index.ts";
import type { DeployOptions, Engine, ModelSource } from "../deploy/index.ts";
import { diskFile, diskFolder, type Folder, type StoredFile } from "../files/index.ts";
import { isRemoteName, openFolder } from "../hub/index.ts";
import { findModel } from "./models.ts";
import { choice, namesOf } from "./option-names.ts";
import { collect, integer, number } from "./parse-values.ts";
import { dropUndefined } from "./sampling.ts";

const GIB = 2 ** 30;

/** Named here, so that help needs no import of deploy/. */
const engines: Record<Engine, true> = { vllm: true, ollama: true, kindling: true };
const targets: Record<DeployOptions["target"], true> = { compose: true, k8s: true };

function label(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("it is not key=value.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

const EXAMPLES = `
Examples:
  kindling deploy vllm Qwen/Qwen2.5-7B-Instruct --target compose --gpu-memory 24 --dry-run
  kindling deploy vllm meta-llama/Llama-3.1-8B-Instruct --target k8s --gpu-memory 80 --out llama --namespace models
  kindling deploy ollama smollm2.gguf --target compose --out smollm2 --gateway
  kindling deploy kindling sotu --target k8s --out sotu --offline --memory 16

Secrets are never written: an empty .env, or the commands that make them. Files that somebody changed are not replaced
without --force, filled secrets never.`;

/** Declares `kindling deploy`. */
export function addDeploy(program: Command): void {
  program
    .command("deploy")
    .description(
      "Write the files of a private deployment of a model, for Docker Compose or Kubernetes, sized by its headers.",
    )
    .addArgument(new Argument("<engine>", "what serves it").choices(namesOf(engines)))
    .argument(
      "<model>",
      "a repository (owner/name; for ollama of GGUF files, owner/name:Q4_K_M), a folder, a run, or a .gguf file",
    )
    .addOption(choice("--target <target>", "what to write for", namesOf(targets)).default("compose"))
    .option("--out <folder>", "where to write (default: <name>-deployment)")
    .option("--name <name>", "of services and objects, and of the model for clients (default: by the model)")
    .option("--dry-run", "show the arithmetic and the names of the files, write nothing")
    .option("--force", "replace files that were changed or come from elsewhere; never secrets")
    .option("--gpus <n>", "cards of a replica (default: as many as vllm needs; none for ollama)", integer)
    .option("--gpu-memory <GiB>", "memory of a card", number)
    .option(
      "--memory <GiB>",
      "memory of the machine, without cards (default: this one's for compose, no limit for k8s)",
      number,
    )
    .option("--cpus <n>", "cores of a replica (default: 4)", number)
    .option("--context <tokens>", "longest prompt and answer (default: the model's, at most 8192)", integer)
    .option("--concurrency <n>", "texts at the same time (default: 8, on a CPU 4)", integer)
    .option("--replicas <n>", "k8s: pods (default: 1)", integer)
    .option("--max-replicas <n>", "k8s: pods that load may add up to (default: none)", integer)
    .option("--api-key-secret <name>", "k8s: an existing Secret with the keys (default: a template is written)")
    .option("--ingress <host>", "k8s: a name to be reached by from outside; with --tls-secret")
    .option("--tls-secret <name>", "k8s: the Secret with its certificate")
    .option("--ingress-class <name>", "k8s: (default: the cluster's)")
    .option("--namespace <name>", "k8s: (default: that of the context)")
    .option("--storage-class <name>", "k8s: of volumes (default: the cluster's)")
    .option("--node-selector <key=value>", "k8s: label of nodes to run on (repeatable)", label)
    .option(
      "--toleration <key>",
      "k8s: key of a taint to tolerate; nvidia.com/gpu is, with cards (repeatable)",
      collect,
    )
    .option("--offline", "refuse what is fetched: the model is a folder or a file")
    .option("--gateway", "put Kindling's gateway in front, with keys and budgets")
    .option("--image <image>", "of the engine, as in a registry of your own")
    .option("--gateway-image <image>", "of the gateway")
    .option("--runs <folder>", "folder of all runs", "runs")
    .addHelpText("after", EXAMPLES)
    .action(deployCommand);
}

interface DeployFlags extends Omit<DeployOptions, "engine" | "source"> {
  out?: string;
  dryRun?: boolean;
  force?: boolean;
  runs: string;
  ingress?: string;
  offline?: boolean;
  gateway?: boolean;
  toleration?: string[];
}

async function deployCommand(engine: Engine, model: string, flags: DeployFlags): Promise<void> {
  const { out, dryRun, force, runs, ingress, offline, gateway, toleration, memory, ...rest } = flags;
  const { source, open } = await locateModel(model, { engine, target: rest.target, runs });
  const isHere = rest.target === "compose" && engine !== "vllm" && !rest.gpus;
  const options: DeployOptions = dropUndefined({
    ...rest,
    engine,
    source,
    memory: memory ?? (isHere ? totalmem() / GIB : undefined),
    ingressHost: ingress,
    isOffline: offline,
    hasGateway: gateway,
    tolerations: toleration,
  });
  const { deploymentFiles, planDeployment, sizingTable, writeDeployment } = await import("../deploy/index.ts");
  const plan = await planDeployment(open, options);
  const files = deploymentFiles(plan);
  process.stdout.write(`${sizingTable(plan)}\n\n`);
  const folder = out ?? `${plan.name}-deployment`;
  if (dryRun) {
    process.stdout.write(`would write in ${folder}: ${files.map(({ path }) => path).join(", ")}\n`);
    return;
  }
  const { written, kept, removed } = await writeDeployment(folder, files, { force });
  const say = (what: string, paths: readonly string[]) => {
    for (const path of paths) process.stdout.write(`${what.padEnd(8)}${join(folder, path)}\n`);
  };
  say("wrote", written);
  say("kept", kept);
  say("removed", removed);
  const first = rest.target === "compose" ? "compose.yaml" : "kustomization.yaml";
  process.stdout.write(`\nnext: the first lines of ${join(folder, first)} say how it is started\n`);
}

interface LocatedModel {
  source: ModelSource;
  open(): Promise<Folder | StoredFile>;
}

/** Where the model is. Of a repository only configs and headers are read, part by part; nothing is kept. */
async function locateModel(
  name: string,
  { engine, target, runs }: { engine: Engine; target: DeployOptions["target"]; runs: string },
): Promise<LocatedModel> {
  const [id, quantization] = engine === "ollama" ? name.split(":") : [name];
  if (await isRemoteName(id)) {
    const repository = () => openFolder(id, { cache: false });
    const open = engine === "ollama" ? async () => ggufOf(await repository(), name, quantization) : repository;
    return { source: { kind: "repository", id, quantization }, open };
  }
  const path = resolve(await findModel(name, runs));
  if ((await stat(path)).isFile())
    return { source: { kind: "file", path, base: basename(path) }, open: async () => diskFile(path) };
  const mount = target === "compose" ? await mountOf(path) : { path };
  return { source: { kind: "folder", ...mount }, open: async () => diskFolder(path) };
}

/** The one GGUF file that Ollama would take of a repository. */
async function ggufOf(folder: Folder, name: string, quantization: string | undefined): Promise<StoredFile> {
  const names = ((await folder.list()) ?? []).filter(
    (file) => file.toLowerCase().endsWith(".gguf") && !/mmproj/i.test(file),
  );
  const wanted = names.filter(
    (file) => quantization === undefined || file.toLowerCase().includes(quantization.toLowerCase()),
  );
  if (wanted.length === 1) return folder.file(wanted[0]);
  const fix = "name one as owner/name:Q4_K_M; Ollama fetches repositories of GGUF files only";
  const received = `${wanted.length} of ${names.length} GGUF files${names.length > 0 ? `: ${names.slice(0, 6).join(", ")}` : ""}`;
  throw new DataError({ where: name, expected: "one GGUF file", received, fix });
}

/** In the hub's cache a model's files are links into the folder "blobs" beside: that is mounted, too. */
async function mountOf(path: string): Promise<{ path: string; inside?: string }> {
  const names = await readdir(path);
  const isLinked = await Promise.all(names.map(async (name) => (await lstat(join(path, name))).isSymbolicLink()));
  if (!isLinked.includes(true)) return { path };
  if (basename(dirname(path)) === "snapshots")
    return { path: dirname(dirname(path)), inside: `snapshots/${basename(path)}` };
  const fix = "copy it with its files: cp -rL";
  throw new DataError({
    where: path,
    expected: "a folder of files",
    received: "one with links, which a mount would not have",
    fix,
  });
}
