/** `kindling deploy`, as it is typed: a run of Node for what it prints, the program's parts for the rest. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { deployedModels } from "../testing/deployed-models.ts";
import { createProgram } from "./program.ts";

const { bytes, config } = deployedModels["qwen2.5-0.5b"];
const contents: Readonly<Record<string, string>> = {
  "config.json": JSON.stringify(config),
  "model.safetensors.index.json": JSON.stringify({ metadata: { total_size: bytes }, weight_map: {} }),
};

let folder: string;
let output: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  output = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output += text;
    return true;
  });
  await mkdir(join(folder, "qwen"));
  for (const [name, text] of Object.entries(contents)) await writeFile(join(folder, "qwen", name), text);
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const deploy = (...args: string[]) => createProgram().parseAsync(["deploy", ...args], { from: "user" });
const qwen = () => join(folder, "qwen");
const composeOf = async (out: string) => parse(await readFile(join(out, "compose.yaml"), "utf8"));

test("--dry-run shows the arithmetic, and writes nothing", async () => {
  await deploy("vllm", qwen(), "--gpu-memory", "24", "--dry-run", "--out", join(folder, "out"));
  expect(output).toMatch(/^qwen \(Qwen2ForCausalLM\) by vllm: 8 texts of 8192 tokens at a time, 1 card$/m);
  expect(output).toMatch(/^cache of a token +12,288 bytes +24 layers x 2 heads x \(key 64 \+ value 64\) x 2 bytes$/m);
  expect(output).toMatch(/^would write in .*: compose.yaml, .env$/m);
  expect(await readdir(folder)).toEqual(["qwen"]);
});

test("writes, lists what it wrote, and keeps what was filled in", async () => {
  const out = join(folder, "out");
  const args = ["kindling", qwen(), "--out", out, "--memory", "16", "--name", "llm"];
  await deploy(...args);
  expect(output).toContain(`wrote   ${join(out, "compose.yaml")}\nwrote   ${join(out, ".env")}\n`);
  await writeFile(join(out, ".env"), "KINDLING_API_KEY=secret\n");
  await deploy(...args, "--context", "1024");
  expect(output).toContain(`kept    ${join(out, ".env")}\n`);
  expect((await composeOf(out)).services.llm.command).toContain("--context=1024");
  await writeFile(join(out, "compose.yaml"), "changed");
  await expect(deploy(...args)).rejects.toThrow(/received compose.yaml/);
});

test("kindling serve knows all flags that it is started with", async () => {
  const out = join(folder, "out");
  await deploy("kindling", qwen(), "--out", out, "--memory", "16", "--name", "llm");
  const [verb, model, ...flags] = (await composeOf(out)).services.llm.command as string[];
  expect([verb, model]).toEqual(["serve", "llm=/weights"]);
  const serve = createProgram().commands.find((command) => command.name() === "serve");
  const names = serve?.options.map(({ long }) => long);
  for (const flag of flags) expect(names).toContain(flag.split("=")[0]);
});

test("what fits on this machine is what compose may take; k8s has other machines", async () => {
  const large = ["--context", "32768", "--concurrency", "4096"];
  await expect(deploy("kindling", qwen(), ...large, "--dry-run")).rejects.toThrow(/at most .* GiB of memory/);
  await deploy("kindling", qwen(), ...large, "--dry-run", "--target", "k8s");
});

test("a folder of links is mounted with what they name, or refused", async () => {
  const snapshot = join(folder, "models--Qwen--Qwen2.5-0.5B", "snapshots", "abc");
  for (const place of [snapshot, join(folder, "links")]) {
    await mkdir(place, { recursive: true });
    for (const name of Object.keys(contents)) await symlink(join(qwen(), name), join(place, name));
  }
  const out = join(folder, "out");
  await deploy("vllm", snapshot, "--gpu-memory", "24", "--out", out, "--name", "llm");
  const { services } = await composeOf(out);
  expect(services.llm.command[0]).toBe("/weights/snapshots/abc");
  expect(services.llm.volumes[0].source).toBe(join(folder, "models--Qwen--Qwen2.5-0.5B"));
  const linked = deploy("vllm", join(folder, "links"), "--gpu-memory", "24", "--dry-run");
  await expect(linked).rejects.toThrow(/one with links.* cp -rL/);
});

test("of a repository only the config and the index are read, and nothing is asked for options that are wrong", async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = decodeURIComponent(request.url ?? "");
    asked.push(url);
    const json = (value: unknown) => response.setHeader("content-type", "application/json").end(JSON.stringify(value));
    const sha = "0123456789abcdef0123456789abcdef01234567";
    if (url.includes("/revision/")) return json({ sha });
    if (url.includes("/tree/"))
      return json(
        [...Object.keys(contents), "model-00001-of-00001.safetensors"].map((path) => ({
          type: "file",
          path,
          size: 1,
          oid: sha,
        })),
      );
    return response.end(contents[url.slice(url.lastIndexOf("/") + 1)] ?? "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  vi.stubEnv("HF_ENDPOINT", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv("HF_HUB_OFFLINE", "");
  try {
    const args = ["vllm", "Qwen/Qwen2.5-0.5B", "--gpu-memory", "24", "--dry-run"];
    await expect(deploy(...args, "--offline")).rejects.toThrow(/kindling pull Qwen\/Qwen2.5-0.5B/);
    expect(asked).toEqual([]);
    await deploy(...args, "--target", "k8s");
    expect(output).toContain(
      "would write in qwen2-5-0-5b-deployment: kustomization.yaml, serviceaccount.yaml, statefulset.yaml",
    );
    expect(asked.some((url) => url.endsWith(".safetensors"))).toBe(false);
    await expect(deploy("ollama", "Qwen/Qwen2.5-0.5B", "--dry-run")).rejects.toThrow(/one GGUF file; received 0 of 0/);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
