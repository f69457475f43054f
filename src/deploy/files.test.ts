/** All that is written, for every engine and target, judged by the schemas of Kubernetes and Compose. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import Ajv2020 from "ajv/dist/2020.js";
import type { Command } from "commander";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { createProgram } from "../cli/program.ts";
import { diskFile, type Folder, type GgufValue, type StoredFile, writeGguf } from "../files/index.ts";
import { readGatewayConfig } from "../gateway/index.ts";
import { deployedFolder } from "../testing/deployed-models.ts";
import { type DeployOptions, deploymentFiles, engines, type ModelSource, planDeployment, targets } from "./index.ts";
import { nameOf } from "./options.ts";
import { yamlFile } from "./yaml-file.ts";

const golden = (name: string) =>
  JSON.parse(gunzipSync(readFileSync(new URL(`../../golden/deploy/${name}.json.gz`, import.meta.url))).toString());
const { kinds, $defs } = golden("kubernetes") as { kinds: Record<string, object>; $defs: object };
const ajv = new Ajv2020.default({ strict: false, validateFormats: false, allErrors: true });
const validateCompose = ajv.compile(golden("compose").schema);
const validators = new Map(Object.entries(kinds).map(([kind, schema]) => [kind, ajv.compile({ ...schema, $defs })]));

let folder: string;
let gguf: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  gguf = join(folder, "tiny.gguf");
  const metadata = { context_length: 64, embedding_length: 32, block_count: 2, "attention.head_count": 4 };
  const entries = Object.entries(metadata).map(([key, value]) => [`llama.${key}`, value] as const);
  const tokens = ["tokenizer.ggml.tokens", ["a", "b"]] as const;
  const weights = { type: "f32", shape: [2, 32], data: new Float32Array(64) } as const;
  await writeGguf(
    gguf,
    new Map<string, GgufValue>([["general.architecture", "llama"], ...entries, tokens]),
    new Map([["token_embd.weight", weights]]),
  );
});
afterAll(() => rm(folder, { recursive: true }));

type Named = { source: ModelSource; place: Folder | StoredFile };
const repository: Named = {
  source: { kind: "repository", id: "Qwen/Qwen2.5-0.5B" },
  place: deployedFolder("qwen2.5-0.5b"),
};
const local: Named = { source: { kind: "folder", path: "/srv/my $MODEL/qwen" }, place: deployedFolder("qwen2.5-0.5b") };
const file = (): Named => ({ source: { kind: "file", path: gguf, base: "tiny.gguf" }, place: diskFile(gguf) });

/** Contents of the files by their names. */
async function filesOf({ source, place }: Named, options: Omit<DeployOptions, "source">): Promise<Map<string, string>> {
  const plan = await planDeployment(async () => place, { ...options, source });
  return new Map(deploymentFiles(plan).map(({ path, content }) => [path, content]));
}

function check(files: ReadonlyMap<string, string>): void {
  for (const [path, text] of files) {
    if (!path.endsWith(".yaml") || /^(kustomization|gateway)\.yaml$/.test(path)) continue;
    const value = parse(text);
    expect(parse(text, { version: "1.1" }), path).toEqual(value); // every reader sees the same
    const validate = path === "compose.yaml" ? validateCompose : validators.get(value.kind);
    validate?.(value);
    expect({ path, errors: validate?.errors }).toEqual({ path, errors: null });
  }
}

const cards = (engine: string) => (engine === "vllm" ? { gpuMemory: 24 } : {});
const cases = engines.flatMap((engine) => targets.map((target) => [engine, target] as const));

describe.each(cases)("%s for %s", (engine, target) => {
  const base = { engine, target, ...cards(engine) };
  const all =
    target === "compose"
      ? {}
      : {
          replicas: 2,
          ...(engine === "ollama" ? {} : { maxReplicas: 4 }),
          ingressHost: "llm.example.org",
          tlsSecret: "tls",
          ingressClass: "nginx",
          namespace: "on",
          storageClass: "fast",
          nodeSelector: { "example.org/pool": "1" },
          tolerations: ["example.org/models"],
        };

  test("of a repository", async () => check(await filesOf(repository, base)));
  test("of a folder, with the gateway and all options", async () => {
    const files = await filesOf(local, { ...base, ...all, hasGateway: true, isOffline: true, name: "no" });
    check(files);
    expect([...files.keys()]).toContain(target === "compose" ? "gateway.yaml" : "gateway-deployment.yaml");
  });
  test.runIf(engine !== "vllm")("of a GGUF file", async () => {
    const files = await filesOf(file(), base);
    check(files);
    expect([...files.values()].join("")).toContain("/weights/tiny.gguf");
  });

  test("no secret has a value, and none is where it is applied", async () => {
    const files = await filesOf(repository, { ...base, hasGateway: true });
    const env = files.get(".env") ?? "";
    expect(env.split("\n").filter((line) => line !== "" && !line.startsWith("#"))).toEqual(
      target === "k8s" || engine === "ollama" ? [] : [`${engine.toUpperCase()}_API_KEY=`, "HF_TOKEN="],
    );
    if (target === "compose") return;
    const { resources } = parse(files.get("kustomization.yaml")!);
    expect(resources).not.toContain("secret.template.yaml");
    expect(resources.every((path: string) => files.has(path))).toBe(true);
    if (engine !== "ollama") expect(parse(files.get("secret.template.yaml")!).stringData).toEqual({});
  });
});

test.each(cases)("kindling gateway reads its configuration for %s on %s", async (engine, target) => {
  const files = await filesOf(repository, { engine, target, ...cards(engine), hasGateway: true, name: "llm" });
  const config = files.get("gateway.yaml") ?? parse(files.get("gateway-configmap.yaml")!).data["gateway.yaml"];
  const path = join(folder, "gateway.yaml");
  await writeFile(path, config);
  const environment = { VLLM_API_KEY: "a", KINDLING_API_KEY: "b" };
  expect(await readGatewayConfig(path, environment)).toMatchObject({ upstreams: [{ name: engine }] });
});

test.each(cases)("kindling knows the options that are written for %s on %s", async (engine, target) => {
  const files = await filesOf(repository, { engine, target, ...cards(engine), hasGateway: true, name: "llm" });
  const written = [...files].filter(([path]) => path.endsWith(".yaml")).map(([, text]) => text);
  const commands = written.flatMap((text) =>
    parseAllDocuments(text).flatMap((document) => commandsIn(document.toJS())),
  );
  const ours = commands.filter(([first]) => first === "gateway" || (engine === "kindling" && first === "serve"));
  expect(ours.length).toBe(engine === "kindling" ? 2 : 1);
  for (const [name, ...args] of ours) {
    const command = createProgram().commands.find((each) => each.name() === name)!;
    const unknown = args.filter((arg) => arg.startsWith("--") && !isOption(command, arg));
    expect([name, unknown]).toEqual([name, []]);
  }
});

/** Whether an argument is an option, with a value that it may have. */
function isOption({ options }: Command, argument: string): boolean {
  const [long, value] = argument.split("=");
  const option = options.find((each) => each.long === long);
  return option !== undefined && (value === undefined || !option.argChoices || option.argChoices.includes(value));
}

/** The lists of arguments within a document. */
function commandsIn(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  const entries = Object.entries(value);
  const lists = entries.filter(([key, list]) => (key === "command" || key === "args") && Array.isArray(list));
  return [...lists.map(([, list]) => list), ...entries.flatMap(([, part]) => commandsIn(part))];
}

test.each<[ModelSource, string]>([
  [{ kind: "repository", id: "Qwen/Qwen2.5-0.5B" }, "qwen2-5-0-5b"],
  [{ kind: "folder", path: "/models/Tiny_Chat/" }, "tiny-chat"],
  [{ kind: "folder", path: "/hub/models--me--tiny", inside: "snapshots/0123abc" }, "tiny"],
  [{ kind: "folder", path: "/modelscope/me--tiny", inside: "snapshots/master" }, "tiny"],
  [{ kind: "folder", path: "/hub/models--me--tiny/snapshots/0123abc" }, "tiny"],
  [{ kind: "file", path: "/models/tiny.gguf", base: "tiny.gguf" }, "tiny"],
])("%j is called %s", (source, name) => {
  expect(nameOf(source)).toBe(name);
});

test("the schemas know every field", () => {
  const metadata = { name: "a" };
  expect(validators.get("Service")?.({ apiVersion: "v1", kind: "Service", metadata, spec: { prots: [] } })).toBe(false);
  expect(validateCompose({ services: { a: { image: "a", comand: [] } } })).toBe(false);
});

describe("compose", () => {
  const compose = async (named: Named, options: Partial<DeployOptions>) =>
    parse(
      (await filesOf(named, { engine: "vllm", target: "compose", gpuMemory: 24, ...options })).get("compose.yaml")!,
    );

  test("is closed: this machine only, no root, no writing, no rights; keys are required", async () => {
    const { services } = await compose(repository, { name: "llm" });
    expect(services.llm).toMatchObject({
      ports: ["127.0.0.1:8000:8000"],
      user: "2000:0",
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
      restart: "unless-stopped",
      environment: { VLLM_API_KEY: `\${VLLM_API_KEY:?set it in .env}` },
    });
    // Compose refuses limits of processes in two places, which the schema does not know
    expect(services.llm).not.toHaveProperty("pids_limit");
    expect(services.llm.deploy.resources.limits.pids).toBe(4096);
    expect(services.llm.deploy.resources.reservations.devices).toEqual([
      { driver: "nvidia", count: 1, capabilities: ["gpu"] },
    ]);
  });

  test("with the gateway only that is published", async () => {
    const { services, secrets } = await compose(repository, { name: "llm", hasGateway: true });
    expect(services.llm.ports).toBeUndefined();
    expect(services["llm-gateway"].ports).toEqual(["127.0.0.1:8090:8090"]);
    expect(secrets).toEqual({ keys: { file: "./keys.json" } });
  });

  test("a $ in a path is no variable", async () => {
    const { services } = await compose(local, { name: "llm" });
    expect(services.llm.volumes[0]).toMatchObject({ source: "/srv/my $$MODEL/qwen", read_only: true });
  });

  test("a model in the hub's cache is mounted with the files that its links name", async () => {
    const source = { kind: "folder", path: "/hub/models--Qwen--Qwen2.5-0.5B", inside: "snapshots/abc" } as const;
    const file = await compose({ ...local, source }, {});
    expect(file.name).toBe("qwen2-5-0-5b");
    expect(file.services[file.name].command[0]).toBe("/weights/snapshots/abc");
  });

  test("Ollama's model comes before its server", async () => {
    const { services } = await compose(file(), { engine: "ollama", name: "llm", context: 32, concurrency: 2 });
    expect(services.llm.depends_on["llm-model"]).toEqual({ condition: "service_completed_successfully" });
    expect(services["llm-model"].volumes).toEqual(services.llm.volumes);
    expect(services.llm.environment).toMatchObject({ OLLAMA_CONTEXT_LENGTH: "32", OLLAMA_NUM_PARALLEL: "2" });
  });
});

describe("kubernetes", () => {
  const k8s = (named: Named, options: Partial<DeployOptions> = {}) =>
    filesOf(named, { engine: "vllm", target: "k8s", gpuMemory: 24, name: "llm", ...options });

  test("what is fetched is kept by each replica, what is mounted is shared and reaches nobody", async () => {
    const fetched = await k8s(repository, { replicas: 2 });
    expect(parse(fetched.get("statefulset.yaml")!).spec.volumeClaimTemplates).toHaveLength(1);
    const mounted = await k8s(local, { replicas: 2 });
    expect(parse(mounted.get("pvc.yaml")!).spec.accessModes).toEqual(["ReadWriteMany"]);
    expect(parse(mounted.get("networkpolicy.yaml")!).spec.egress).toEqual([]);
    expect(parse((await k8s(local)).get("pvc.yaml")!).spec.accessModes).toEqual(["ReadWriteOnce"]);
  });

  test("resources and probes follow the arithmetic", async () => {
    const files = await k8s({ ...repository, place: deployedFolder("llama-3-8b") }, { gpus: 2 });
    const { template } = parse(files.get("statefulset.yaml")!).spec;
    const [container] = template.spec.containers;
    expect(container.resources.limits).toEqual({ memory: "18432Mi", "nvidia.com/gpu": "2" }); // 8 GiB, 10 of weights
    expect(container.args).toContain("--tensor-parallel-size=2");
    // 16.06 GB: 80 s from the disk, 642 from the network, 300 to start
    expect(container.startupProbe).toMatchObject({ periodSeconds: 10, failureThreshold: 103 });
    expect(template.spec.tolerations).toEqual([{ key: "nvidia.com/gpu", operator: "Exists" }]);
    expect(files.get("statefulset.yaml")).toMatch(/# cache of a token +131,072 bytes/);
  });

  test("an autoscaler has the number of replicas, and a metric that the engine has", async () => {
    const files = await k8s(repository, { maxReplicas: 3 });
    expect(parse(files.get("statefulset.yaml")!).spec.replicas).toBeUndefined();
    expect(parse(files.get("hpa.yaml")!).spec.metrics[0].pods.metric.name).toBe("vllm_num_requests_waiting");
    const onCpu = await k8s(local, { engine: "kindling", gpuMemory: undefined, maxReplicas: 3 });
    expect(parse(onCpu.get("hpa.yaml")!).spec.metrics[0].resource.name).toBe("cpu");
  });

  test("an existing secret is named, and no template written", async () => {
    const files = await k8s(repository, { apiKeySecret: "mine" });
    expect(files.has("secret.template.yaml")).toBe(false);
    expect(files.get("statefulset.yaml")).toContain("name: mine");
  });
});

describe("refused", () => {
  const base = { engine: "vllm", target: "k8s", gpuMemory: 24 } as const;
  test.each<[Partial<DeployOptions>, RegExp]>([
    [{ isOffline: true }, /with --offline; received Qwen.* kindling pull/],
    [{ name: "A b" }, /--name to be a label/],
    [{ ingressHost: "x.org" }, /--ingress and --tls-secret together/],
    [{ ingressHost: "x.org; rm", tlsSecret: "t" }, /--ingress to be a name of DNS/],
    [{ engine: "ollama", ingressHost: "x.org", tlsSecret: "t" }, /keys in front of Ollama.* add --gateway/],
    [{ engine: "ollama", gpus: 1, maxReplicas: 2 }, /a metric of load/],
    [{ engine: "kindling", gpus: 1 }, /kindling on the CPU/],
    [{ gpus: 0 }, /cards for vllm/],
    [{ maxReplicas: 1 }, /--max-replicas above --replicas 1/],
    [{ target: "compose", namespace: "a" }, /received --namespace, which is one of k8s/],
    [{ context: 0 }, /--context to be a positive integer; received 0/],
    [{ concurrency: 1.5 }, /--concurrency to be a positive integer/],
    [{ gpuMemory: Number.NaN }, /--gpu-memory above 0/],
    [{ image: "a b" }, /--image to be an image/],
    [{ source: { kind: "file", path: "a.gguf", base: "a.gguf" } }, /safetensors for vllm; received a.gguf/],
  ])("%j", async (options, message) => {
    const open = () => Promise.reject(new Error("the model was opened"));
    await expect(planDeployment(open, { ...base, source: repository.source, ...options })).rejects.toThrow(message);
  });

  test("a part of a GGUF file", async () => {
    const part = { ...diskFile(gguf), base: "tiny-00001-of-00002.gguf" };
    const source = { kind: "file", path: gguf, base: part.base } as const;
    const plan = planDeployment(async () => part, { engine: "ollama", target: "compose", source });
    await expect(plan).rejects.toThrow(/llama-gguf-split --merge/);
  });
});

describe("YAML", () => {
  test.each([
    "on",
    "no",
    "y",
    "~",
    "null",
    "1.0",
    "0x10",
    "1_000",
    "1:30",
    "1e3",
    ".5",
    "",
    " a",
    "a: b",
    "# a",
    "=",
    "2026-11-27",
    "a\nb",
  ])("%j is a text to all readers", (text) => {
    const written = yamlFile({ [text || "key"]: text, list: [text] }, "a comment\nof two lines");
    for (const version of ["1.1", "1.2"] as const)
      expect(parse(written, { version })).toEqual({ [text || "key"]: text, list: [text] });
  });

  test("any text is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const written = yamlFile({ value: text }, "");
        for (const version of ["1.1", "1.2"] as const) expect(parse(written, { version })).toEqual({ value: text });
      }),
    );
  });
});
