import type { ModelMetrics } from "../metrics.ts";
import { type QueueOptions, RequestQueue } from "../queue.ts";
import type { KindModels, ModelKind } from "./entry.ts";

/** Requests that are answered at the same time; their texts are run together. Sounds are heard one after another. */
const concurrency: Readonly<Record<Exclude<ModelKind, "text-generation">, number>> = {
  embedding: 16,
  ranking: 16,
  classification: 16,
  speech: 1,
};

/** A model that answers in one go, and all that its requests share. */
export class TaskService<K extends Exclude<ModelKind, "text-generation">> {
  readonly id: string;
  readonly model: KindModels[K];
  readonly queue: RequestQueue;
  readonly metrics: ModelMetrics;

  constructor(
    { id, kind, model }: { id: string; kind: K; model: KindModels[K] },
    { metrics, ...queue }: QueueOptions & { metrics: ModelMetrics },
  ) {
    this.id = id;
    this.model = model;
    this.queue = new RequestQueue(concurrency[kind], queue);
    this.metrics = metrics;
  }

  /** Resolves when no request uses the model any more. */
  dispose(): Promise<void> {
    return this.queue.idle();
  }
}
