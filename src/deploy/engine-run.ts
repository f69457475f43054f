/** How each engine is started: the same in Compose and in Kubernetes. */
import { join } from "node:path/posix";
import { BATCHED_TOKENS } from "./cache-size.ts";
import { type EngineImage, images } from "./images.ts";
import type { DeployOptions, ModelSource } from "./options.ts";
import { GPU_UTILIZATION } from "./sizing.ts";

/** Where weights of this machine are mounted. */
export const WEIGHTS_PATH = "/weights";
/** Where files of configuration are mounted. */
export const CONFIG_PATH = "/etc/deployment";

export interface EngineRun extends EngineImage {
  /** In place of the image's. */
  entrypoint?: string[];
  args: string[];
  environment: Record<string, string>;
  /** Variables with secrets; without `isRequired` they may be left out. */
  secrets: { name: string; isRequired: boolean; purpose: string }[];
  /** Prepares the cache before the server starts, with the same volumes and variables. */
  prepare?: string[];
  /** Files of configuration by their names. */
  files: Record<string, string>;
  /** Folders besides /tmp and the cache that are written to, and forgotten. */
  scratch: string[];
  /** The program's way of asking itself whether it answers. */
  healthCommand: string[];
  /** Of HTTP, open to all. */
  healthPath: string;
  /** What is kept from one start to the next is worth a volume. */
  keepsCache: boolean;
}

export interface RunSettings {
  name: string;
  context: number;
  concurrency: number;
  gpus: number;
  cpus: number;
}

export function engineRun(options: DeployOptions, settings: RunSettings): EngineRun {
  const { engine, image } = options;
  const base = { ...images[engine], ...(image !== undefined && { image }) };
  if (engine === "vllm") return { ...base, ...vllm(options, settings) };
  return { ...base, ...(engine === "ollama" ? ollama(options, settings) : kindling(options, settings)) };
}

/** The model's path inside the container, or its name in the hub. */
function modelPath(source: ModelSource, target: DeployOptions["target"]): string {
  if (source.kind === "repository") return source.id;
  if (source.kind === "file") return join(WEIGHTS_PATH, source.base);
  return target === "compose" && source.inside ? join(WEIGHTS_PATH, source.inside) : WEIGHTS_PATH;
}

type Start = Omit<EngineRun, keyof EngineImage>;

const hubToken = (purpose: string) => ({ name: "HF_TOKEN", isRequired: false, purpose });
const isOffHub = ({ kind }: ModelSource) => kind !== "repository";
const offline = (source: ModelSource): Record<string, string> =>
  isOffHub(source) ? { HF_HUB_OFFLINE: "1", TRANSFORMERS_OFFLINE: "1" } : {};
const tokens = (source: ModelSource) =>
  isOffHub(source) ? [] : [hubToken("of Hugging Face; only for models that ask for consent")];

function vllm({ source, target }: DeployOptions, { name, context, concurrency, gpus }: RunSettings): Start {
  const { cachePath, port } = images.vllm;
  return {
    entrypoint: ["vllm", "serve"], // what the image starts by itself has changed between releases
    args: [
      modelPath(source, target),
      "--host=0.0.0.0",
      `--port=${port}`,
      `--served-model-name=${name}`,
      `--tensor-parallel-size=${gpus}`,
      `--gpu-memory-utilization=${GPU_UTILIZATION}`,
      `--max-model-len=${context}`,
      `--max-num-seqs=${concurrency}`,
      `--max-num-batched-tokens=${Math.max(BATCHED_TOKENS, concurrency)}`,
    ],
    environment: {
      HOME: "/home/vllm",
      HF_HOME: join(cachePath, "huggingface"),
      TRITON_CACHE_DIR: join(cachePath, "triton"),
      CUDA_CACHE_PATH: join(cachePath, "nv"),
      XDG_CONFIG_HOME: "/tmp/config", // the root file system is read-only
      VLLM_NO_USAGE_STATS: "1",
      ...offline(source),
    },
    secrets: [
      { name: "VLLM_API_KEY", isRequired: true, purpose: "which clients send as a bearer token" },
      ...tokens(source),
    ],
    files: {},
    scratch: [],
    healthCommand: [
      "python3",
      "-c",
      `import urllib.request; urllib.request.urlopen("http://127.0.0.1:${port}/health", timeout=3)`,
    ],
    healthPath: "/health",
    keepsCache: !isOffHub(source),
  };
}

/** Brings the model into Ollama's store under a name of ours, by a server that listens to nobody else. */
const OLLAMA_PREPARE = `set -eu
export OLLAMA_HOST=127.0.0.1:11434
mkdir -p "$OLLAMA_MODELS"
ollama serve &
server=$!
until ollama list >/dev/null 2>&1; do kill -0 "$server"; sleep 1; done
ollama create "$DEPLOYED_MODEL" -f "$DEPLOYED_MODELFILE"
kill "$server"
wait "$server" || true`;

function ollama({ source, target }: DeployOptions, { name, context, concurrency }: RunSettings): Start {
  const { cachePath, port } = images.ollama;
  const path = modelPath(source, target);
  const from =
    source.kind === "repository" ? `hf.co/${path}${source.quantization ? `:${source.quantization}` : ""}` : path;
  return {
    args: ["serve"],
    environment: {
      HOME: cachePath,
      OLLAMA_HOST: `0.0.0.0:${port}`,
      OLLAMA_MODELS: join(cachePath, "models"),
      OLLAMA_CONTEXT_LENGTH: String(context),
      OLLAMA_NUM_PARALLEL: String(concurrency),
      OLLAMA_MAX_LOADED_MODELS: "1",
      OLLAMA_KEEP_ALIVE: "-1",
      DEPLOYED_MODEL: name,
      DEPLOYED_MODELFILE: join(CONFIG_PATH, "Modelfile"),
    },
    secrets: [],
    prepare: ["/bin/sh", "-c", OLLAMA_PREPARE],
    files: { Modelfile: `FROM ${from}\nPARAMETER num_ctx ${context}\n` },
    scratch: [],
    healthCommand: ["ollama", "list"],
    healthPath: "/",
    keepsCache: true, // Ollama copies what it is given
  };
}

function kindling(options: DeployOptions, { name, context, concurrency, cpus }: RunSettings): Start {
  const { source, target, namespace } = options;
  const { cachePath, port } = images.kindling;
  const inCluster = [`${name}.${namespace ?? "default"}`, ".svc", ".cluster.local"];
  const hosts = [name, ...(target === "k8s" ? inCluster : []), ...(options.ingressHost ? [options.ingressHost] : [])];
  return {
    args: [
      "serve",
      `${name}=${modelPath(source, target)}`,
      "--host=0.0.0.0",
      `--port=${port}`,
      `--context=${context}`,
      "--cache-dtype=f16",
      `--max-sequences=${concurrency}`,
      `--cache-tokens=${context * (concurrency + 1)}`,
      `--prefix-tokens=${context}`,
      `--threads=${Math.max(1, Math.floor(cpus))}`,
      "--log=json",
      ...hosts.map((host) => `--allowed-hosts=${host}`),
    ],
    environment: { HF_HOME: cachePath, ...offline(source) },
    secrets: [
      { name: "KINDLING_API_KEY", isRequired: true, purpose: "which clients send as a bearer token" },
      ...tokens(source),
    ],
    files: {},
    scratch: ["/var/lib/kindling"],
    healthCommand: [
      "node",
      "-e",
      `fetch("http://127.0.0.1:${port}/health").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`,
    ],
    healthPath: "/health",
    keepsCache: !isOffHub(source),
  };
}
