import { environment, homedir, isPage, join, readFile, resolve } from "#system";
import { OptionError } from "../base/index.ts";

/** Where models are fetched from. */
export type HubSource = "huggingface" | "modelscope";

/** Which revision and files of a repository are fetched, from where and to where. */
export interface HubOptions {
  /** @default "huggingface" */
  source?: HubSource;
  /** What the repository holds: each kind has names of its own. @default "model" */
  kind?: "model" | "dataset";
  /** Branch, tag or commit. @default "main", of ModelScope "master" */
  revision?: string;
  /**
   * Access token; false for none. @default HF_TOKEN, or the file that Python's client keeps; of ModelScope
   * MODELSCOPE_API_TOKEN
   */
  token?: string | false;
  /** Another server that speaks the protocol. @default HF_ENDPOINT; of ModelScope MODELSCOPE_ENDPOINT */
  endpoint?: string;
  /** @default the folder that Python's client uses: HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub */
  cacheFolder?: string;
  /** Ask no server: only what is in the cache. @default HF_HUB_OFFLINE */
  isOffline?: boolean;
  /** Only these files, by patterns such as "*.safetensors". @default what a model needs */
  include?: readonly string[];
  exclude?: readonly string[];
  /** Called as bytes arrive. */
  onProgress?: (progress: { file: string; doneBytes: number; totalBytes: number }) => void;
  /**
   * How long a server may say nothing, before its answer and within it. @default HF_HUB_DOWNLOAD_TIMEOUT in seconds, or
   * 10,000
   */
  timeoutMs?: number;
  signal?: AbortSignal;
}

const first = (...names: string[]) =>
  names.map((name) => environment[name]).find((value) => value !== undefined && value !== "");

const expand = (path: string) => resolve(path.replace(/^~(?=\/|$)/, homedir()));
/** Where Python's client keeps its token and its cache. */
const home = () =>
  expand(first("HF_HOME") ?? join(first("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface"));

export function cacheFolderOf({ source = "huggingface", cacheFolder }: HubOptions): string {
  if (cacheFolder !== undefined) return expand(cacheFolder);
  if (source === "modelscope")
    return join(expand(first("MODELSCOPE_CACHE") ?? join(homedir(), ".cache", "modelscope")), "models");
  return expand(first("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? join(home(), "hub"));
}

const endpoints = {
  huggingface: { variable: "HF_ENDPOINT", usual: "https://huggingface.co" },
  modelscope: { variable: "MODELSCOPE_ENDPOINT", usual: "https://modelscope.cn" },
} as const;

/** @throws OptionError for what is no address */
export function endpointOf({ source = "huggingface", endpoint }: HubOptions): string {
  const { variable, usual } = endpoints[source];
  const address = (endpoint ?? first(variable) ?? usual).replace(/\/+$/, "");
  if (/^https?:$/.test(URL.canParse(address) ? new URL(address).protocol : "")) return address;
  const fix = `name one that begins with https://, or leave out --endpoint and ${variable}`;
  throw new OptionError({
    where: "endpoint",
    expected: "the address of a hub",
    received: JSON.stringify(address),
    fix,
  });
}

export async function tokenOf({ source = "huggingface", token }: HubOptions): Promise<string | undefined> {
  if (token === false) return undefined;
  if (token !== undefined) return token;
  if (isPage) return undefined;
  if (source === "modelscope") return first("MODELSCOPE_API_TOKEN");
  const rawToken =
    first("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") ??
    (await readFile(first("HF_TOKEN_PATH") ?? join(home(), "token"), "utf8").catch(() => ""));
  return rawToken.replace(/[\r\n]/g, "").trim() || undefined;
}

export const revisionOf = ({ source, revision }: HubOptions): string =>
  revision ?? (source === "modelscope" ? "master" : "main");

const TIMEOUT_MS = 10_000;

export function timeoutOf(): number {
  const seconds = Number(first("HF_HUB_DOWNLOAD_TIMEOUT"));
  return seconds > 0 ? 1000 * seconds : TIMEOUT_MS;
}

export const isOffline = ({ isOffline: asked }: HubOptions): boolean =>
  asked ?? /^(1|on|yes|true)$/i.test(first("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") ?? "");

/** Whether a text could name a repository: "name" or "owner/name". */
export function isRepositoryId(text: string): boolean {
  const isPart = (part: string) =>
    /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$/.test(part) && !/--|\.\.|[.-]$|\.git$/.test(part);
  const parts = text.split("/");
  return parts.length <= 2 && parts.every(isPart);
}

/** @throws OptionError for what cannot be the id of a repository */
export function requireRepositoryId(id: string, source: HubSource): void {
  if (isRepositoryId(id) && (source === "huggingface" || id.includes("/"))) return;
  throw new OptionError({
    where: "repository",
    expected: 'an id such as "owner/name"',
    received: JSON.stringify(id),
    fix: "copy it from the model's page",
  });
}

/** A path inside a repository that stays inside the folder it is written to. */
export const isSafePath = (path: string): boolean =>
  path !== "" &&
  !/[\\\0]|^\/|^[A-Za-z]:/.test(path) &&
  path.split("/").every((part) => part !== "" && part !== "." && part !== "..");

/** Files of a repository that a pattern names; "*" goes over folders. */
function matches(path: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const source = pattern
      .replace(/[.+^${}()|\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".");
    return new RegExp(`^${pattern.endsWith("/") ? `${source}.*` : source}$`, "s").test(path);
  });
}

const WEIGHTS = [
  "*.bin",
  "*.pt",
  "*.pth",
  "*.ckpt",
  "*.h5",
  "*.msgpack",
  "*.ot",
  "*.onnx",
  "*.onnx_data",
  "*.gguf",
  "*.tflite",
  "*.mlmodel",
  "*.pb",
];
const MODEL_FILES = ["*.json", "*.txt", "*.model", "*.jinja", "*.safetensors", "*.tiktoken", "README.md"];

/** A folder of a sentence-transformers module, such as 2_Dense. */
const MODULE_FOLDER = /^(\d+_\w+\/)(model\.safetensors|pytorch_model\.bin)$/;

/**
 * What a model needs of a repository: its configs, tokenizer and safetensors, also those of modules that follow it;
 * torch's files where there are no safetensors.
 */
export function neededFiles(paths: readonly string[], { include, exclude = [] }: HubOptions): string[] {
  const kept = paths.filter((path) => !matches(path, exclude));
  if (include) return kept.filter((path) => matches(path, include));
  const hasSafetensors = kept.some((path) => !path.includes("/") && path.endsWith(".safetensors"));
  const isNeeded = (path: string) =>
    matches(path, MODEL_FILES) || (!hasSafetensors && /^pytorch_model.*\.bin$/.test(path));
  return kept.filter((path) => {
    const [, module, file] = MODULE_FOLDER.exec(path) ?? [];
    if (module) return file === "model.safetensors" || !kept.includes(`${module}model.safetensors`);
    return isNeeded(path) && !(path.includes("/") && matches(path, [...WEIGHTS, "*.safetensors"]));
  });
}
