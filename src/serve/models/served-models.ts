import { setMaxListeners } from "node:events";
import { nearest, OptionError } from "../../base/index.ts";
import type { Clock } from "../clock.ts";
import { RequestError } from "../errors.ts";
import { ImageFetcher, type ImageHostOptions } from "../images/index.ts";
import { Metrics, type ModelMetrics } from "../metrics.ts";
import type { QueueOptions } from "../queue.ts";
import { type ServedModel, Service } from "../service.ts";
import { checkServable, type KindModels, kinds, type ModelKind, type Servable } from "./entry.ts";
import { checkLimits, type LimitOptions } from "./limits.ts";
import { type LeaseOptions, Pool, type PoolState, requireDistinct } from "./pool.ts";
import type { Lease, Loadable } from "./slot.ts";
import { TaskService } from "./task-service.ts";

/** What answers requests to a model of each kind. */
export type Services = {
  [K in ModelKind]: K extends "text-generation" ? Service : TaskService<Exclude<K, "text-generation">>;
};
type AnyService = Services[ModelKind];

/** What is told of a model. */
export interface ModelInfo extends PoolState {
  id: string;
  kind: ModelKind;
  /** Of its weights; 0 for one that was handed over loaded. */
  bytes: number;
  family?: string;
  /** Whether it reads images in messages. */
  takesImages: boolean;
  /** Names of its adapters: of those that it has, or will have when it is loaded. */
  adapters: readonly string[];
  /** While it is loaded. */
  service: AnyService | undefined;
}

/** Which model a request asks for, and how it is lent. */
export interface AskedLease extends Pick<LeaseOptions, "keepAliveMs"> {
  /** Its name; undefined for the only one of its kind. */
  asked: string | undefined;
}

/** A model by how it is loaded; one that is loaded already stays and is disposed of by others. */
interface Entry {
  id: string;
  kind: ModelKind;
  bytes: number;
  family?: string;
  adapters?: readonly string[];
  takesImages?: boolean;
  isPinned: boolean;
  load(): Promise<KindModels[ModelKind]>;
}

function entryOf(model: Servable): Entry {
  checkServable(model);
  if ("load" in model) return { ...model, isPinned: false, load: () => model.load() };
  const { id } = model;
  const [kind, parts] = "kind" in model ? [model.kind, model.model] : (["text-generation", model] as const);
  const takesImages = kind === "text-generation" && (parts as ServedModel).images !== undefined;
  return { id, kind, bytes: 0, takesImages, isPinned: true, load: async () => parts };
}

/** The models of a server: which there are, which are loaded, and what their requests share. */
export class ServedModels {
  readonly requestTimeoutMs: number;
  readonly stalledTimeoutMs: number;
  readonly metrics = new Metrics();
  /** Told of models that are loaded and let go. */
  onChange: (change: "model_loaded" | "model_unloaded", model: string) => void = () => {};
  private readonly queueOptions: Required<QueueOptions>;
  private readonly imageFetcher: ImageFetcher;
  private readonly maxImages: number | undefined;
  private readonly entries: ReadonlyMap<string, Entry>;
  private readonly pool: Pool<AnyService>;
  private readonly stopping = new AbortController();
  private starting: Promise<void> | undefined;

  /** @throws OptionError for limits that are unknown or cannot be, and for models that cannot be served together */
  constructor(
    models: Servable | readonly Servable[],
    { imageHosts, imagePrivateHosts, ...options }: LimitOptions & ImageHostOptions = {},
    clock?: Clock,
  ) {
    checkLimits(options);
    this.imageFetcher = new ImageFetcher({ imageHosts, imagePrivateHosts });
    setMaxListeners(0, this.stopping.signal); // each request listens
    const { requestTimeoutMs = 600_000, stalledTimeoutMs = 10_000, maxQueue = 64, queueTimeoutMs = 300_000 } = options;
    this.requestTimeoutMs = requestTimeoutMs;
    this.stalledTimeoutMs = stalledTimeoutMs;
    this.queueOptions = { maxQueue, queueTimeoutMs };
    this.maxImages = options.maxImages;
    const entries = [models].flat().map((model) => entryOf(model as Servable));
    if (entries.length === 0)
      throw new OptionError({ where: "serve", expected: "at least one model", received: "none", fix: "name one" });
    const { memoryBytes, keepAliveMs } = options;
    this.pool = new Pool(
      entries.map((entry) => this.loadable(entry)),
      { memoryBytes, keepAliveMs },
      clock,
    );
    this.entries = new Map(entries.map((entry) => [entry.id, entry]));
    requireDistinct(
      entries.flatMap(({ id, adapters = [] }) => [id, ...adapters]),
      "adapters and models",
    );
  }

  /** All models, in their order. */
  list(): ModelInfo[] {
    return [...this.entries.keys()].map((id) => this.info(id));
  }

  /** What is known of a model now. @throws RequestError 404 for one that is not here */
  info(asked: string): ModelInfo {
    const entry = this.require(asked);
    const { id, kind, bytes, family, takesImages = false } = entry;
    const [adapters, service] = [this.adaptersOf(entry), this.pool.peek(id)];
    return { id, kind, bytes, family, takesImages, adapters, service, ...this.pool.stateOf(id) };
  }

  /** The name of the first of a kind. */
  first(kind: ModelKind): string | undefined {
    return [...this.entries.values()].find((entry) => entry.kind === kind)?.id;
  }

  /** The name of the model that a request of this kind gets. @throws RequestError as `lease` */
  nameFor(kind: ModelKind, asked: string | undefined): string {
    return this.entryFor(kind, asked).id;
  }

  /**
   * Lends the service of a model, which is loaded when it is not there.
   * @param asked its name; undefined for the only one of its kind
   * @throws RequestError 404 for a model that is not here, 400 for one of another kind and where a name is missing, 429
   *   when too many wait for it; and what loading it throws
   */
  async lease<K extends ModelKind>(
    kind: K,
    asked: string | undefined,
    options: LeaseOptions = {},
  ): Promise<Lease<Services[K]>> {
    const { id } = this.entryFor(kind, asked);
    const { maxQueue } = this.queueOptions;
    const { waiting } = this.pool.stateOf(id);
    if (waiting >= Math.max(1, maxQueue)) throw tooManyWait(id, waiting);
    return this.pool.lease(id, options) as Promise<Lease<Services[K]>>;
  }

  /** Does something with a model that needs no turn. @throws as `lease` */
  async use<K extends ModelKind, R>(
    kind: K,
    asked: string | undefined,
    signal: AbortSignal,
    work: (service: Services[K]) => R | Promise<R>,
  ): Promise<R> {
    const { value, release } = await this.lease(kind, asked, { signal });
    try {
      return await work(value);
    } finally {
      release();
    }
  }

  /**
   * Loads the first model and compiles what its answers need, so that the first request does not pay for that.
   * @throws what loading it throws
   */
  start(): Promise<void> {
    const [{ id, kind }] = this.entries.values();
    this.starting ??= this.use(kind, id, this.stopSignal, async (service: AnyService) => {
      if (service instanceof Service) await service.warmUp();
    })
      .catch((error) => {
        throw error instanceof LoadError ? error.cause : error;
      })
      .finally(() => {
        this.starting = undefined;
      });
    return this.starting;
  }

  /** Whether `start` is at work. */
  get isStarting(): boolean {
    return this.starting !== undefined;
  }

  /** Aborted when the server stops; the reason is a RequestError. */
  get stopSignal(): AbortSignal {
    return this.stopping.signal;
  }

  /** Ends the requests under way, each with an error that says so. */
  stop(): void {
    this.stopping.abort(stoppingError());
  }

  /** Resolves when no model is used any more, and all that were loaded here are disposed of. */
  async close(): Promise<void> {
    await this.pool.close(stoppingError());
  }

  private require(asked: string): Entry {
    const entry = this.entries.get(asked) ?? this.baseOf(asked);
    if (entry) return entry;
    const names = [...this.entries.keys()];
    const near = nearest(asked, names);
    const rest =
      names.length === 1
        ? `this is '${names[0]}'.`
        : `${near ? `did you mean '${near}'? ` : ""}Served are ${quoted(names)}.`;
    throw new RequestError({
      status: 404,
      message: `The model '${asked}' is not served here; ${rest}`,
      param: "model",
      code: "model_not_found",
    });
  }

  /** The model that has an adapter of this name, or will have it when it is loaded. */
  private baseOf(adapter: string): Entry | undefined {
    return [...this.entries.values()].find((entry) => this.adaptersOf(entry).includes(adapter));
  }

  private adaptersOf({ id, adapters = [] }: Entry): readonly string[] {
    const service = this.pool.peek(id);
    return service instanceof Service ? service.model.generator.adapters.list.map(({ name }) => name) : adapters;
  }

  /** The model of this kind that is asked for. */
  private entryFor(kind: ModelKind, asked: string | undefined): Entry {
    const ofKind = [...this.entries.values()].filter((entry) => entry.kind === kind);
    const names = quoted(ofKind.map(({ id }) => id));
    if (asked !== undefined) {
      const entry = this.require(asked);
      if (entry.kind === kind) return entry;
      const { does, endpoint } = kinds[entry.kind];
      const others = names ? `: ${names}` : ", and none here does";
      throw new RequestError({
        status: 400,
        message: `The model '${asked}' ${does}: ask it at ${endpoint}. Here one is needed that ${kinds[kind].does}${others}.`,
        param: "model",
        code: "wrong_model_kind",
      });
    }
    if (ofKind.length === 1) return ofKind[0];
    const message = names
      ? `model: expected the name of one that ${kinds[kind].does}, ${names}; received nothing`
      : `No model ${kinds[kind].does} here; served are ${quoted([...this.entries.keys()])}.`;
    const code = names ? "invalid_value" : "model_not_found";
    throw new RequestError({ status: names ? 400 : 404, message, param: "model", code });
  }

  private loadable(entry: Entry): Loadable<AnyService> {
    const { id, bytes, isPinned } = entry;
    const metrics = this.metrics.model(id);
    return {
      id,
      bytes,
      isPinned,
      load: async () => {
        const start = performance.now();
        const service = await this.load(entry, metrics).catch((cause) => {
          throw new LoadError(id, cause);
        });
        metrics.loaded(
          (performance.now() - start) / 1000,
          service instanceof Service ? service.model.generator : undefined,
        );
        this.onChange("model_loaded", id);
        return service;
      },
      dispose: async (service) => {
        await service.dispose();
        metrics.unloaded();
        this.onChange("model_unloaded", id);
        if (!isPinned) disposeOf(service);
      },
    };
  }

  private async load({ id, kind, load }: Entry, metrics: ModelMetrics): Promise<AnyService> {
    const parts = await load();
    const { queueOptions, imageFetcher, maxImages } = this;
    if (kind === "text-generation") {
      const options = { ...queueOptions, metrics, imageFetcher, maxImages };
      return new Service({ ...(parts as KindModels[typeof kind]), id }, options);
    }
    const options = { ...queueOptions, metrics };
    return new TaskService({ id, kind, model: parts as KindModels[typeof kind] }, options) as AnyService;
  }
}

/** Frees a model that was loaded here, and its compiled graphs. */
function disposeOf(service: AnyService): void {
  if (!(service instanceof Service)) return void service.model.dispose();
  const { generator, images, speculation } = service.model;
  generator.dispose();
  images?.embedder.dispose();
  (images?.embedder.model ?? generator.model).dispose();
  speculation?.assistant?.dispose();
  speculation?.assistant?.model.dispose();
}

const quoted = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(", ");

/** Whatever a load throws, it is no fault of the requests that wait for it. */
class LoadError extends RequestError {
  constructor(id: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super({
      status: 500,
      message: `The model '${id}' could not be loaded: ${reason}`,
      code: "model_load_failed",
      cause,
    });
  }
}

const stoppingError = () =>
  new RequestError({ status: 503, message: "The server is stopping.", code: "server_stopping" });

function tooManyWait(id: string, waiting: number): RequestError {
  return new RequestError({
    status: 429,
    message: `Requests that wait for the model '${id}' to be loaded: ${waiting}, and it takes no more.`,
    type: "requests",
    code: "rate_limit_exceeded",
    headers: { "retry-after": "5" },
  });
}
