/** The files in deploy/: what they name is there, and says what it is said to. */
import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { Ajv } from "ajv";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { isObject } from "./base/index.ts";
import { createProgram } from "./cli/program.ts";

const file = (path: string) => new URL(`../deploy/${path}`, import.meta.url);
const text = (path: string) => readFileSync(file(path), "utf8");
const serve = createProgram().commands.find((command) => command.name() === "serve") as Command;

/** Every option of a command line has to be one of serve's. */
function checkOptions(words: readonly string[]): void {
  const known = serve.options.flatMap(({ long, short }) => [long, short]);
  for (const word of words) if (word.startsWith("-")) expect(known, word).toContain(word.split("=")[0]);
}
/** Fields of a file of options. */
function checkConfig(config: object): void {
  const fields = serve.options.map(({ long, negate }) => long?.replace(negate ? /^--no-/ : /^--/, ""));
  for (const field of Object.keys(config)) expect([...fields, "models"], field).toContain(field);
}

describe("systemd", () => {
  const unit = text("systemd/kindling.service");
  const values = new Map(
    unit.split("\n").flatMap((line) => (/^[A-Z]\w+=/.test(line) ? [line.split(/=(.*)/s) as [string, string]] : [])),
  );

  test("starts serve with options that it has, and has what a reload and an end need", () => {
    const [program, command, ...options] = (values.get("ExecStart") as string).split(" ");
    expect([program, command]).toEqual(["/opt/kindling/bin/kindling", "serve"]);
    checkOptions(options);
    expect(values.get("ExecReload")).toBe("/bin/kill -HUP $MAINPID");
    expect(Number(values.get("TimeoutStopSec"))).toBeGreaterThan(25);
    expect(text("systemd/kindling.sysusers")).toMatch(new RegExp(`^u ${values.get("User")} `, "m"));
  });

  test("takes from the service what it does not need", () => {
    const hardened = {
      NoNewPrivileges: "yes",
      ProtectSystem: "strict",
      ProtectHome: "yes",
      PrivateTmp: "yes",
      PrivateDevices: "yes",
      CapabilityBoundingSet: "",
      RestrictNamespaces: "yes",
      RestrictSUIDSGID: "yes",
      UMask: "0077",
    };
    expect(Object.fromEntries(values)).toMatchObject(hardened);
  });
});

describe("the image", () => {
  const lines = text("Dockerfile")
    .replace(/^#.*\n/gm, "")
    .replaceAll("\\\n", " ")
    .split("\n")
    .filter(Boolean);
  const last = (instruction: string) => lines.findLast((line) => line.startsWith(`${instruction} `)) ?? "";

  test("is built in two stages, offline too, and runs as nobody of importance", () => {
    expect(lines.filter((line) => line.startsWith("FROM "))).toHaveLength(2);
    expect(lines).toContain("ENV ONNXRUNTIME_NODE_INSTALL=skip");
    expect(last("USER")).toBe("USER 1000:1000");
    expect(last("HEALTHCHECK")).toContain("/health");
    expect(last("ENTRYPOINT")).toBe('ENTRYPOINT ["kindling"]');
    const [command, ...options] = JSON.parse(last("CMD").replace(/^CMD /, "")) as string[];
    expect(command).toBe("serve");
    checkOptions(options);
  });

  test("copies what is there, and what is not ignored", () => {
    const kept = text("Dockerfile.dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    const copied = lines
      .filter((line) => /^COPY (?!--from)/.test(line))
      .flatMap((line) => line.split(" ").slice(1, -1));
    expect(copied.sort()).toEqual(kept.sort());
    for (const path of copied) expect(existsSync(new URL(`../${path}`, import.meta.url)), path).toBe(true);
  });
});

test("compose runs it with no more rights than it needs", () => {
  const compose = parse(text("compose.yaml"));
  const service = compose.services.kindling;
  expect(service).toMatchObject({ read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] });
  expect(service.ports[0]).toMatch(/^127\.0\.0\.1:/);
  const [command, ...options] = service.command as string[];
  expect(command).toBe("serve");
  checkOptions(options);
  for (const { source } of service.secrets) expect(compose.secrets).toHaveProperty(source);
  expect(existsSync(new URL(`../${service.build.dockerfile}`, import.meta.url))).toBe(true);
});

describe("the chart", () => {
  const chart = "helm/kindling";
  const values = parse(text(`${chart}/values.yaml`)) as Record<string, unknown>;
  /** Paths of the values that are no objects, or that are passed on as they are. */
  const paths = (value: unknown, path: string): string[] =>
    isObject(value) && Object.keys(value).length > 0 && path !== ".config" && path !== ".resources"
      ? Object.entries(value).flatMap(([name, inner]) => paths(inner, `${path}.${name}`))
      : [path];

  test("has what Helm asks for", () => {
    const schema = {
      type: "object",
      required: ["apiVersion", "name", "version", "type", "description"],
      properties: {
        apiVersion: { const: "v2" },
        name: { pattern: "^[a-z][a-z0-9-]*$" },
        version: { pattern: "^\\d+\\.\\d+\\.\\d+$" },
        type: { enum: ["application", "library"] },
      },
    };
    const validate = new Ajv({ strictTypes: false }).compile(schema);
    expect([validate(parse(text(`${chart}/Chart.yaml`))), validate.errors]).toEqual([true, null]);
    checkConfig(values.config as object);
  });

  test("uses each value that it has, and no other", async () => {
    const names = await readdir(file(`${chart}/templates/`));
    const templates = (
      await Promise.all(names.map((name) => readFile(file(`${chart}/templates/${name}`), "utf8")))
    ).join("\n");
    const used = new Set([...templates.matchAll(/\.Values((?:\.\w+)+)/g)].map(([, path]) => path));
    expect([...used].sort()).toEqual(paths(values, "").sort());
    const defined = new Set([...templates.matchAll(/define "([^"]+)"/g)].map(([, name]) => name));
    for (const [, name] of templates.matchAll(/include "([^"]+)"/g)) expect(defined, name).toContain(name);
    checkOptions([...templates.matchAll(/^ +- (--[\w-]+)/gm)].map(([, option]) => option));
  });

  test.each(["config", "secret", "deployment", "service", "poddisruptionbudget", "networkpolicy"])(
    "%s.yaml is an object of Kubernetes whose blocks end",
    (name) => {
      const template = text(`${chart}/templates/${name}.yaml`);
      const actions = [...template.matchAll(/\{\{-?\s*(.*?)\s*-?\}\}/g)].map(([, action]) => action);
      expect(template.split("{{").length).toBe(template.split("}}").length);
      const begins = actions.filter((action) => /^(if|with|range|define)\b/.test(action)).length;
      expect(actions.filter((action) => action === "end")).toHaveLength(begins);
      // without its actions what is left is YAML
      const yaml = template.replace(/^\s*\{\{-?.*\}\}\s*$/gm, "").replace(/\{\{.*?\}\}/g, "x");
      const [document] = parseAllDocuments(yaml);
      expect(document.errors).toEqual([]);
      expect(document.toJS()).toMatchObject({
        apiVersion: expect.any(String),
        kind: expect.any(String),
        metadata: { name: "x" },
      });
    },
  );

  test("lets pods end as long as the server may take, with few rights", () => {
    const { config, terminationGracePeriodSeconds, preStopSleepSeconds } = values as Record<string, number> & {
      config: Record<string, number>;
    };
    expect(terminationGracePeriodSeconds).toBeGreaterThan(config["drain-timeout"] + preStopSleepSeconds);
    const deployment = text(`${chart}/templates/deployment.yaml`);
    for (const line of [
      "automountServiceAccountToken: false",
      "runAsNonRoot: true",
      "readOnlyRootFilesystem: true",
      "allowPrivilegeEscalation: false",
      "drop: [ALL]",
      "type: RuntimeDefault",
    ])
      expect(deployment).toContain(line);
    for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) expect(deployment).toContain(`${probe}:`);
  });
});
