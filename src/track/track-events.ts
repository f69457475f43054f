import type { ClassAnswers } from "./report/extras.ts";
import type { RunDescription, RunEnd, Tracker } from "./tracker.ts";

/** The events of a training that trackers follow, as `train` yields them; others pass by. */
export type TrackedEvent =
  | { type: "resumed"; step: number }
  | {
      type: "step";
      step: number;
      loss: number;
      gradientNorm: number;
      learningRate: number;
      metrics: Readonly<Record<string, number>>;
      throughput: number;
    }
  | { type: "evaluation"; step: number; validationLoss: number; metrics: Readonly<Record<string, number>> }
  | { type: "sample"; step: number; prompt: string; text: string }
  | ({ type: "classes"; step: number } & ClassAnswers)
  | { type: "finished"; step: number; reason: string };

type EventOf<K extends TrackedEvent["type"]> = Extract<TrackedEvent, { type: K }>;

/**
 * Passes the events of a training through, and has trackers write them: numbers of steps as "train/loss" and so on,
 * those of evaluations as "validation/loss", the memory of this process as "system/residentBytes". The trackers are
 * finished when the events end, by whatever end, one after another: a later one finds what an earlier has written.
 * @param events of `train` or `runTraining`
 * @throws what the training throws, and nothing else
 */
export async function* trackEvents<E extends { type: string }>(
  events: AsyncIterable<E>,
  run: RunDescription,
  trackers: readonly Tracker[],
): AsyncGenerator<E, void, void> {
  const follower = new Follower(run, trackers);
  let end: RunEnd = "stopped"; // by a caller who leaves, unless it is said otherwise
  try {
    for await (const event of events) {
      end = follower.follow(event as unknown as TrackedEvent) ?? end;
      yield event;
    }
  } catch (error) {
    end = error instanceof Error && error.name === "AbortError" ? "stopped" : "failed";
    throw error;
  } finally {
    await follower.finish(end);
  }
}

class Follower {
  private readonly run: RunDescription;
  private readonly trackers: readonly Tracker[];
  private hasStarted = false;
  private step = 0;
  private values: Record<string, number> = {};
  private classes: ClassAnswers | undefined;

  constructor(run: RunDescription, trackers: readonly Tracker[]) {
    this.run = run;
    this.trackers = trackers;
  }

  /** What the event says of the run's end. */
  follow(event: TrackedEvent): RunEnd | undefined {
    switch (event.type) {
      case "resumed":
        this.start(event.step);
        break;
      case "step":
        this.log(event.step, numbersOfStep(event));
        break;
      case "evaluation":
        this.log(event.step, numbersOfEvaluation(event));
        break;
      case "sample":
        for (const tracker of this.trackers) tracker.text(event.step, event.prompt, event.text);
        break;
      case "classes":
        this.classes = { confusion: event.confusion, mistakes: event.mistakes };
        break;
      case "finished":
        this.start(0); // where no step was left to do
        this.step = event.step;
        return event.reason === "aborted" ? "stopped" : "finished";
    }
    return undefined;
  }

  private start(resumedStep: number): void {
    if (this.hasStarted) return;
    this.hasStarted = true;
    this.step = resumedStep;
    for (const tracker of this.trackers) tracker.start(this.run, resumedStep);
  }

  private log(step: number, values: Readonly<Record<string, number>>): void {
    this.start(0);
    this.step = step;
    for (const [name, value] of Object.entries(values)) {
      this.values[name] = value;
      if (!name.endsWith("/loss")) continue;
      const best = `${name}Best`;
      this.values[best] = Math.min(this.values[best] ?? Number.POSITIVE_INFINITY, value);
    }
    for (const tracker of this.trackers) tracker.log(step, values);
  }

  async finish(end: RunEnd): Promise<void> {
    if (!this.hasStarted) return;
    const { step, values, classes } = this;
    for (const tracker of this.trackers) await tracker.finish({ end, step, values, ...(classes && { classes }) });
  }
}

const named = (group: string, values: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${group}/${name}`, value]));

function numbersOfStep({ loss, gradientNorm, learningRate, metrics, throughput }: EventOf<"step">) {
  return {
    ...named("train", { ...metrics, loss, gradientNorm, learningRate, throughput }),
    "system/residentBytes": process.memoryUsage.rss(),
  };
}

const numbersOfEvaluation = ({ validationLoss, metrics }: EventOf<"evaluation">) =>
  named("validation", { ...metrics, loss: validationLoss });
