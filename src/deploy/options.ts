/** What a deployment is asked to be. */
import { numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { shortName } from "../hub/index.ts";
import { type Engine, engines } from "./images.ts";

/** What files are written for. */
export const targets = ["compose", "k8s"] as const;
export type Target = (typeof targets)[number];

/** Where the weights are: in a repository that is fetched, or in a folder or file that is mounted. */
export type ModelSource =
  | { kind: "repository"; id: string /** Of a GGUF repository: which file, as Q4_K_M. */; quantization?: string }
  | {
      kind: "folder";
      path: string;
      /** Of a repository in the hub's cache, whose files are links: where in `path` the model is. */
      inside?: string;
    }
  | { kind: "file"; path: string; base: string };

/** What is to be deployed, by which program, and how large. */
export interface DeployOptions {
  engine: Engine;
  target: Target;
  source: ModelSource;
  /** Of services and objects; also what clients ask for. @default from the model's name */
  name?: string;
  /** Tokens of a text. @default the model's longest, at most 8192 */
  context?: number;
  /** Texts at the same time. @default 8; 4 on a CPU */
  concurrency?: number;
  /** Cards of a replica. @default as many as vLLM needs; none for the others */
  gpus?: number;
  /** GiB of a card; needed where there are cards. */
  gpuMemory?: number;
  /** GiB of the machine. @default no limit */
  memory?: number;
  /** Cores of a replica. @default 4 */
  cpus?: number;
  /** @default 1 */
  replicas?: number;
  /** Replicas that load may add, k8s. @default no autoscaling */
  maxReplicas?: number;
  /** An existing Secret with the keys, k8s. @default a template is written */
  apiKeySecret?: string;
  /** A name by which the service is reached from outside, k8s. */
  ingressHost?: string;
  /** The Secret with its certificate; needed with ingressHost. */
  tlsSecret?: string;
  /** @default the cluster's */
  ingressClass?: string;
  /** @default the context's */
  namespace?: string;
  /** Of volumes. @default the cluster's */
  storageClass?: string;
  /** Labels of nodes to run on, as key=value. */
  nodeSelector?: Readonly<Record<string, string>>;
  /** Keys of taints that are tolerated; with cards nvidia.com/gpu is. */
  tolerations?: readonly string[];
  /** Nothing is fetched: the model is a folder or file, and pods may reach nobody. */
  isOffline?: boolean;
  /** Kindling's gateway in front, with its keys and budgets. */
  hasGateway?: boolean;
  /** In place of the engine's. */
  image?: string;
  /** In place of Kindling's, for the gateway. */
  gatewayImage?: string;
}

function refuse(expected: string, received: string, fix: string): never {
  throw new OptionError({ where: "deploy", expected, received, fix });
}

const LABEL = /^[a-z]([a-z0-9-]{0,50}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
const IMAGE = /^[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?$/;
const LABEL_KEY = /^([a-z0-9][a-z0-9.-]*\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/;

/** "Qwen/Qwen2.5-0.5B" -> "qwen2-5-0-5b" */
export function nameOf(source: ModelSource): string {
  const inside = source.kind === "folder" && source.inside !== undefined ? `/${source.inside}` : "";
  const label = shortName(source.kind === "repository" ? source.id : source.path + inside)
    .toLowerCase()
    .replace(/\.gguf$/, "")
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 50)
    .replace(/^[^a-z]+|-+$/g, "");
  return label || "model";
}

/** @throws OptionError for what no deployment can be */
export function checkDeployOptions(options: DeployOptions): void {
  const { engine, target, source, ingressHost, tlsSecret, hasGateway, maxReplicas, replicas = 1 } = options;
  if (!engines.includes(engine)) refuse(`an engine of ${engines.join(", ")}`, String(engine), `deploy ${engines[0]}`);
  if (!targets.includes(target)) refuse(`a target of ${targets.join(", ")}`, String(target), "--target compose");
  checkNames(options);
  checkCounts(options);
  if (options.isOffline && source.kind === "repository")
    refuse("a folder or a GGUF file with --offline", source.id, `kindling pull ${source.id}, and name the folder`);
  if (engine === "vllm" && source.kind === "file")
    refuse("a repository or a folder of safetensors for vllm", source.path, "deploy ollama or kindling");
  if (engine === "vllm" && options.gpus === 0) refuse("cards for vllm", "--gpus 0", "deploy ollama or kindling");
  if (engine === "kindling" && (options.gpus ?? 0) > 0)
    refuse(
      "kindling on the CPU, which its image computes on",
      `--gpus ${options.gpus}`,
      "leave --gpus out, or deploy vllm",
    );
  if (target === "compose") checkCompose(options);
  if ((ingressHost === undefined) !== (tlsSecret === undefined))
    refuse(
      "--ingress and --tls-secret together",
      ingressHost ?? tlsSecret ?? "",
      "keys are not sent without TLS: name both",
    );
  if (engine === "ollama" && ingressHost !== undefined && !hasGateway)
    refuse("keys in front of Ollama, which has none", "--ingress without --gateway", "add --gateway");
  if (maxReplicas !== undefined && maxReplicas <= replicas)
    refuse(`--max-replicas above --replicas ${replicas}`, String(maxReplicas), `--max-replicas ${replicas + 1}`);
  if (maxReplicas !== undefined && engine === "ollama" && (options.gpus ?? 0) > 0)
    refuse("a metric of load", "Ollama on cards, which has none", "leave --max-replicas out, or deploy vllm");
}

/** @throws OptionError for options that only a cluster has */
function checkCompose(options: DeployOptions): void {
  const flags = {
    replicas: "--replicas",
    maxReplicas: "--max-replicas",
    apiKeySecret: "--api-key-secret",
    ingressHost: "--ingress",
    tlsSecret: "--tls-secret",
    ingressClass: "--ingress-class",
    namespace: "--namespace",
    storageClass: "--storage-class",
    nodeSelector: "--node-selector",
    tolerations: "--toleration",
  } as const;
  for (const [key, flag] of Object.entries(flags))
    if (options[key as keyof typeof flags] !== undefined && !(key === "replicas" && options.replicas === 1))
      refuse("options of compose", `${flag}, which is one of k8s`, `leave ${flag} out, or --target k8s`);
}

function checkNames(options: DeployOptions): void {
  const check = (flag: string, value: string | undefined, pattern: RegExp, what: string) => {
    if (value !== undefined && !pattern.test(value))
      refuse(`${flag} to be ${what}`, JSON.stringify(value), "choose another");
  };
  check("--name", options.name, LABEL, "a label of DNS of at most 52 characters, as my-model");
  check("--namespace", options.namespace, LABEL, "a label of DNS");
  for (const [flag, value] of [
    ["--api-key-secret", options.apiKeySecret],
    ["--tls-secret", options.tlsSecret],
    ["--ingress", options.ingressHost],
    ["--ingress-class", options.ingressClass],
    ["--storage-class", options.storageClass],
  ] as const)
    check(flag, value, SUBDOMAIN, "a name of DNS in lower case");
  check("--image", options.image, IMAGE, "an image, as registry.example.org/vllm:v1");
  check("--gateway-image", options.gatewayImage, IMAGE, "an image");
  for (const [key, value] of Object.entries(options.nodeSelector ?? {})) {
    check("--node-selector", key, LABEL_KEY, "a label's key and value");
    check("--node-selector", value, LABEL_VALUE, "a label's key and value");
  }
  for (const key of options.tolerations ?? []) check("--toleration", key, LABEL_KEY, "the key of a taint");
}

function checkCounts(options: DeployOptions): void {
  const { positive, positiveInteger, wholeNumber } = numberRules;
  const stated = [
    ["--context", options.context, positiveInteger],
    ["--concurrency", options.concurrency, positiveInteger],
    ["--gpus", options.gpus, wholeNumber],
    ["--gpu-memory", options.gpuMemory, positive],
    ["--memory", options.memory, positive],
    ["--cpus", options.cpus, positive],
    ["--replicas", options.replicas, positiveInteger],
    ["--max-replicas", options.maxReplicas, positiveInteger],
  ] as const;
  for (const [flag, value, rule] of stated)
    if (value !== undefined) requireNumbers("deploy", { [flag]: value }, { [flag]: rule });
}
