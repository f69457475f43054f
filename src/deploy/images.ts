/**
 * The images that deployments run, by exact tags: an image that changes under its name changes what was tested. To
 * update one: read the release notes for changed options, change the tag here, run the tests, and start it once with a
 * small model. Tags are those of the packages' releases (PyPI's vllm, the Go module of Ollama); no registry of images
 * was asked.
 */
import { createRequire } from "node:module";

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

/** What serves a model. */
export const engines = ["vllm", "ollama", "kindling"] as const;
/** What serves the model: one of `engines`. */
export type Engine = (typeof engines)[number];

export interface EngineImage {
  image: string;
  port: number;
  /** Numeric, so that Kubernetes sees that it is not root. */
  user: number;
  group: number;
  /** Where the user may keep weights. */
  cachePath: string;
}

export const images: Readonly<Record<Engine, EngineImage>> = {
  // docs.vllm.ai/en/latest/deployment/docker: prepared for user 2000 of group 0, with /home/vllm
  vllm: { image: "vllm/vllm-openai:v0.33.0", port: 8000, user: 2000, group: 0, cachePath: "/home/vllm/.cache" },
  // docs.ollama.com/docker: root unless told otherwise, which it need not be where HOME and OLLAMA_MODELS are writable
  ollama: { image: "ollama/ollama:0.17.4", port: 11434, user: 1000, group: 1000, cachePath: "/var/cache/ollama" },
  // deploy/Dockerfile of this repository: docker build -f deploy/Dockerfile -t kindling:VERSION .
  kindling: { image: `kindling:${version}`, port: 8080, user: 1000, group: 1000, cachePath: "/var/cache/kindling" },
};

/** Port of `kindling gateway`. */
export const GATEWAY_PORT = 8090;
