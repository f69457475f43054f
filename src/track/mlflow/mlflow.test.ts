import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mlflow } from "./mlflow.ts";

interface Metric {
  key: string;
  value: number | string;
  step: number;
}

/** As much of an MLflow server as the tracker asks for. */
class ScriptedMlflow {
  readonly metrics: Metric[] = [];
  readonly params: { key: string; value: string }[] = [];
  readonly artifacts: Record<string, string> = {};
  readonly updates: object[] = [];
  readonly created: object[] = [];
  /** Requests that are refused. */
  refused = 0;
  private readonly server: Server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const [path] = (request.url ?? "").split("?");
    const [status, answer] = this.refused-- > 0 ? [503, {}] : this.answer(path, body);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): Promise<unknown> {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }

  private answer(path: string, body: string): [number, object] {
    if (path.startsWith("/api/2.0/mlflow-artifacts/artifacts/")) {
      this.artifacts[path.slice("/api/2.0/mlflow-artifacts/artifacts/".length)] = body;
      return [200, {}];
    }
    const json = body === "" ? {} : JSON.parse(body);
    const info = { run_id: "r1", artifact_uri: "mlflow-artifacts:/7/r1/artifacts" };
    switch (path.replace("/api/2.0/mlflow", "")) {
      case "/experiments/get-by-name":
        return [404, { error_code: "RESOURCE_DOES_NOT_EXIST", message: "none" }];
      case "/experiments/create":
        return [200, { experiment_id: "7" }];
      case "/runs/create":
        this.created.push(json);
        return [200, { run: { info } }];
      case "/runs/get": {
        const latest = new Map(this.metrics.map((metric) => [metric.key, metric]));
        return [200, { run: { info, data: { metrics: [...latest.values()] } } }];
      }
      case "/runs/update":
        this.updates.push(json);
        return [200, {}];
      case "/runs/log-batch":
        this.metrics.push(...(json.metrics ?? []));
        this.params.push(...(json.params ?? []));
        return [200, {}];
      default:
        return [404, {}];
    }
  }
}

let folder: string;
let server: ScriptedMlflow;
let url: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  server = new ScriptedMlflow();
  url = await server.listen();
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

const config = { learningRate: 0.1, "odd=name": "x".repeat(7000) };

async function session(resumedStep: number, steps: readonly number[]): Promise<void> {
  const tracker = mlflow({ url, flushIntervalMs: 5 });
  tracker.start({ name: "a", folder, config }, resumedStep);
  for (const step of steps) tracker.log(step, { "train/loss": 1 / step });
  await tracker.finish({ end: "finished", step: steps.at(-1) ?? 0, values: {} });
}

test("a run has its params, metrics, artifacts and its end", async () => {
  await writeFile(join(folder, "report.html"), "<p>report");
  const tracker = mlflow({ url });
  tracker.start({ name: "a", folder, config, tags: { team: "whales" } }, 0);
  tracker.log(1, { "train/loss": 3, "train/norm": Number.POSITIVE_INFINITY });
  tracker.text(1, "sample", "Call me Ishmael");
  await tracker.finish({ end: "stopped", step: 1, values: {} });
  expect(server.created).toMatchObject([{ experiment_id: "7", run_name: "a" }]);
  expect(server.params).toEqual([
    { key: "learningRate", value: "0.1" },
    { key: "odd_name", value: "x".repeat(6000) },
  ]);
  expect(server.metrics).toMatchObject([
    { key: "train/loss", value: 3, step: 1 },
    { key: "train/norm", value: "Infinity", step: 1 },
  ]);
  expect(server.artifacts).toEqual({
    "7/r1/artifacts/texts/sample-1.txt": "Call me Ishmael",
    "7/r1/artifacts/report.html": "<p>report",
  });
  expect(server.updates).toMatchObject([{ run_id: "r1", status: "KILLED" }]);
});

test("a run that goes on is the same run, and sends no step twice", async () => {
  await session(0, [1, 2, 3, 4]);
  await session(2, [3, 4, 5]);
  expect(server.created).toHaveLength(1);
  expect(server.metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
  expect(server.params).toHaveLength(2);
});

test("more metrics than a request takes are sent in several, and a server that refuses is asked again", async () => {
  const notes: unknown[] = [];
  server.refused = 1;
  const tracker = mlflow({ url, flushIntervalMs: 5, onWarning: (warning) => notes.push(warning) });
  tracker.start({ name: "a", folder, config: {} }, 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const values = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`m${i}`, i]));
  tracker.log(1, values);
  await tracker.finish({ end: "finished", step: 1, values: {} });
  expect(server.metrics).toHaveLength(1500);
  expect(notes).toHaveLength(1);
});

test("a server that is away costs a warning and the entries, nothing else", async () => {
  await server.close();
  const notes: string[] = [];
  const onWarning = (warning: { notes: readonly string[] }) => notes.push(...warning.notes);
  const tracker = mlflow({ url, onWarning });
  tracker.start({ name: "a", folder, config: {} }, 0);
  tracker.log(1, { loss: 1 });
  await tracker.finish({ end: "finished", step: 1, values: {} });
  expect(notes).toEqual([expect.stringContaining("ECONNREFUSED"), "1 entries are lost"]);
  server = new ScriptedMlflow();
  await server.listen();
});

test("an address is checked", () => {
  expect(() => mlflow({ url: "localhost" })).toThrow(/begins with http/);
});
