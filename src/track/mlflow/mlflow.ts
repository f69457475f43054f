import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { isObject, OptionError } from "../../base/index.ts";
import { encodePath, exists, readJson, writeJson } from "../../files/index.ts";
import { JsonClient } from "../json-http.ts";
import { type QueueOptions, queuedTracker, type TrackerSink } from "../queued.ts";
import type { ConfigValue, RunDescription, RunEnd, RunSummary, TrackedEntry, Tracker } from "../tracker.ts";

/** Where and how a run is kept by an MLflow server. */
export interface MlflowOptions extends QueueOptions {
  /** Of the tracking server, such as "http://127.0.0.1:5000". */
  url: string;
  /** Made when there is none. @default "kindling" */
  experiment?: string;
  /** Sent as `Authorization: Bearer`. @default none */
  token?: string;
  /** Files to upload at the end, where the server keeps them itself. @default report.html and README.md, if any */
  artifacts?: readonly string[];
}

/** Most of one request, by MLflow's REST API. */
const MOST_METRICS = 1000;
const MOST_PARAMS = 100;
const MOST_PARAM_LENGTH = 6000;
/** Names have letters, digits, these marks, and slashes. */
const otherCharacters = /[^\p{L}\p{N}_\-. /:]/gu;

/**
 * Sends what is measured to an MLflow server by its REST API: options as params, numbers as metrics, texts and files as
 * artifacts where the server proxies them. A run that goes on is the same run there: numbers of steps that it has are
 * not sent again. Histograms and pictures are left out.
 * @throws OptionError for wrong options
 */
export function mlflow(options: MlflowOptions): Tracker {
  const { url, experiment = "kindling", token, artifacts, ...queue } = options;
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new OptionError({
      where: "mlflow",
      expected: "an address that begins with http:// or https://",
      received: url,
      fix: "name a tracking server, such as http://127.0.0.1:5000",
    });
  }
  return queuedTracker(new MlflowRun({ url, experiment, token, artifacts }), queue);
}

type Settings = Pick<MlflowOptions, "token" | "artifacts"> & { url: string; experiment: string };
const api = "/api/2.0/mlflow";
const statuses: Record<RunEnd, string> = { finished: "FINISHED", failed: "FAILED", stopped: "KILLED" };

class MlflowRun implements TrackerSink {
  readonly name: string;
  private readonly settings: Settings;
  private readonly client: JsonClient;
  private runId: string | undefined;
  private folder = "";
  private hasParams = false;
  /** Behind the server's address, or undefined where it does not keep files itself. */
  private artifactPath: string | undefined;
  /** The last step that the server has, by metric: of a run that goes on. */
  private known: ReadonlyMap<string, number> = new Map();

  constructor(settings: Settings) {
    this.name = `MLflow at ${new URL(settings.url).origin}`;
    this.settings = settings;
    this.client = new JsonClient(new URL(settings.url));
  }

  async open(run: RunDescription, resumedStep: number, signal: AbortSignal): Promise<void> {
    this.folder = run.folder;
    if (this.runId === undefined) {
      const earlier = resumedStep > 0 ? await this.resumed(run.folder, signal) : undefined;
      const info = earlier ?? (await this.created(run, signal));
      this.runId = String(info.run_id);
      this.hasParams = earlier !== undefined; // those of a run cannot change
      // "mlflow-artifacts:/0/<run>/artifacts": kept by the server. Others go to disks and clouds that it does not show
      const [, path] = /^mlflow-artifacts:(?:\/\/[^/]*)?\/(.*)$/.exec(String(info.artifact_uri)) ?? [];
      this.artifactPath = path;
      await writeJson(join(run.folder, "mlflow.json"), { url: this.settings.url, runId: this.runId });
    }
    if (!this.hasParams) await this.logParams(run.config, signal);
    this.hasParams = true;
  }

  async write(entries: readonly TrackedEntry[], signal: AbortSignal): Promise<void> {
    const metrics = entries.flatMap((entry) => (entry.type === "values" ? this.metricsOf(entry) : []));
    for (let from = 0; from < metrics.length; from += MOST_METRICS) {
      const body = { run_id: this.runId, metrics: metrics.slice(from, from + MOST_METRICS) };
      await this.ask("/runs/log-batch", body, signal);
    }
    for (const entry of entries)
      if (entry.type === "text") await this.put(`texts/${nameOf(entry.name)}-${entry.step}.txt`, entry.text, signal);
  }

  async close({ end }: RunSummary, signal: AbortSignal): Promise<void> {
    try {
      if (this.runId === undefined) return;
      for (const path of await this.artifacts()) await this.put(basename(path), await readFile(path, "utf8"), signal);
      const body = { run_id: this.runId, status: statuses[end], end_time: Date.now() };
      await this.ask("/runs/update", body, signal);
    } finally {
      this.client.close();
    }
  }

  /** The run of an earlier session, if this server has it. */
  private async resumed(folder: string, signal: AbortSignal): Promise<Record<string, unknown> | undefined> {
    const stored = await readJson(join(folder, "mlflow.json")).catch(() => undefined);
    if (stored?.url !== this.settings.url) return undefined;
    const path = `${api}/runs/get?run_id=${encodeURIComponent(String(stored.runId))}`;
    const answer = objectOf(await this.client.ask({ method: "GET", path, headers: this.headers(), signal }));
    const { info, data } = objectOf(answer.run);
    const { metrics } = objectOf(data);
    const latest = Array.isArray(metrics) ? metrics.filter(isObject) : [];
    this.known = new Map(latest.map(({ key, step }) => [String(key), Number(step ?? 0)]));
    await this.ask("/runs/update", { run_id: stored.runId, status: "RUNNING" }, signal);
    return objectOf(info);
  }

  private async created({ name, tags = {} }: RunDescription, signal: AbortSignal): Promise<Record<string, unknown>> {
    const { experiment } = this.settings;
    const body = {
      experiment_id: await this.experimentId(experiment, signal),
      run_name: name,
      start_time: Date.now(),
      tags: Object.entries({ "mlflow.source.name": "kindling", ...tags }).map(([key, value]) => ({ key, value })),
    };
    return objectOf(objectOf((await this.ask("/runs/create", body, signal)).run).info);
  }

  private async experimentId(name: string, signal: AbortSignal): Promise<string> {
    const path = `${api}/experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`;
    try {
      const answer = objectOf(await this.client.ask({ method: "GET", path, headers: this.headers(), signal }));
      return String(objectOf(answer.experiment).experiment_id);
    } catch (error) {
      if (!(error instanceof Error && error.message.includes("RESOURCE_DOES_NOT_EXIST"))) throw error;
      return String((await this.ask("/experiments/create", { name }, signal)).experiment_id);
    }
  }

  private async logParams(config: Readonly<Record<string, ConfigValue>>, signal: AbortSignal): Promise<void> {
    const params = Object.entries(config).map(([key, value]) => {
      return { key: nameOf(key), value: String(value).slice(0, MOST_PARAM_LENGTH) };
    });
    for (let from = 0; from < params.length; from += MOST_PARAMS)
      await this.ask("/runs/log-batch", { run_id: this.runId, params: params.slice(from, from + MOST_PARAMS) }, signal);
  }

  private metricsOf({ step, timeMs, values }: Extract<TrackedEntry, { type: "values" }>): object[] {
    return Object.entries(values).flatMap(([name, value]) => {
      const key = nameOf(name);
      if (step <= (this.known.get(key) ?? -1)) return [];
      // JSON has no such numbers; MLflow reads them as texts
      return [{ key, value: Number.isFinite(value) ? value : String(value), timestamp: Math.round(timeMs), step }];
    });
  }

  private async artifacts(): Promise<string[]> {
    const usual = [join(this.folder, "report.html"), join(this.folder, "model", "README.md")];
    const paths = this.settings.artifacts ?? usual;
    const isThere = await Promise.all(paths.map((path) => exists(path)));
    return paths.filter((_, i) => isThere[i]);
  }

  private async put(name: string, text: string, signal: AbortSignal): Promise<void> {
    if (this.artifactPath === undefined) return;
    const path = `/api/2.0/mlflow-artifacts/artifacts/${encodePath(`${this.artifactPath}/${name}`)}`;
    await this.client.send({ method: "PUT", path, body: text, headers: this.headers(), signal });
  }

  private async ask(path: string, body: object, signal: AbortSignal): Promise<Record<string, unknown>> {
    return objectOf(await this.client.ask({ path: `${api}${path}`, body, headers: this.headers(), signal }));
  }

  private headers(): Record<string, string> {
    const { token } = this.settings;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }
}

const nameOf = (name: string) => name.replace(otherCharacters, "_");
const objectOf = (value: unknown): Record<string, unknown> => (isObject(value) ? { ...value } : {});
