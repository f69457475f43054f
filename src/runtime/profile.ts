import { GraphError } from "../base/index.ts";

/** One kernel that ran. */
export interface ProfileEvent {
  /** Kindling's op, such as "matmul". */
  op: string;
  /** Where in the user's modules it was made, such as "h.0.attn"; "grad(h.0.attn)" for its gradient. */
  module: string;
  /** ONNX operator, such as "Gemm". */
  operator: string;
  /** Execution provider that ran it: "cpu", "webgpu", ... */
  provider: string;
  startMs: number;
  durationMs: number;
  /** Bytes of its results. */
  outputBytes: number;
  thread: number;
}

/** Kernels taken together, such as all of one op or module. */
export interface ProfileRow {
  /** What they have in common. */
  name: string;
  /** Milliseconds in all runs together. */
  totalMs: number;
  /** Their part of the time of all kernels, from 0 to 1. */
  share: number;
  /** How often one of them ran, in all runs together. */
  calls: number;
  /** Bytes of results in all runs together. */
  outputBytes: number;
}

/** Names of nodes are "module/op/tensor"; what ONNX Runtime made itself has other names. */
function placeOf(name: string): { module: string; op: string } {
  const parts = name.replace(/_kernel_time$/, "").split("/");
  return parts.length >= 3
    ? { module: parts[parts.length - 3], op: parts[parts.length - 2] }
    : { module: "", op: "(added by the runtime)" };
}

interface TraceEvent {
  cat?: string;
  name?: string;
  dur?: number;
  ts?: number;
  tid?: number;
  args?: { op_name?: string; provider?: string; output_size?: string };
}

const KERNEL = /_kernel_time$/;
/** Their time is that of the nodes inside, which are listed too. */
const containers = new Set(["Scan", "Loop", "If"]);

const WEBGPU_PROVIDER = "WebGpuExecutionProvider";

/**
 * On WebGPU the time of a node is that of handing its work to the card. What the card took is in events of another
 * kind, one for each shader in the order of the runs, which are named "node&operator&shader".
 */
function withTimesOfCard(trace: readonly TraceEvent[]): readonly TraceEvent[] {
  const shaders = new Map<string, number[]>();
  for (const { cat, name = "", dur = 0 } of trace) {
    if (cat !== "Api" || !name.includes("&")) continue;
    const node = name.split("&").slice(0, -2).join("&");
    shaders.set(node, [...(shaders.get(node) ?? []), dur]);
  }
  if (shaders.size === 0) return trace;
  const isOnCard = ({ cat, name, args }: TraceEvent) =>
    cat === "Node" &&
    KERNEL.test(name ?? "") &&
    args?.provider === WEBGPU_PROVIDER &&
    !(args.op_name ?? "").startsWith("Memcpy");
  const nodeOf = ({ name = "" }: TraceEvent) => name.replace(KERNEL, "");
  const runs = new Map<string, number>();
  for (const event of trace.filter(isOnCard)) runs.set(nodeOf(event), (runs.get(nodeOf(event)) ?? 0) + 1);
  return trace.map((event) => {
    if (!isOnCard(event)) return event;
    const times = shaders.get(nodeOf(event)) ?? [];
    const before = runs.get(nodeOf(event)) ?? 1; // runs of the node that are left, this one too
    runs.set(nodeOf(event), before - 1);
    const ofRun = times.splice(0, Math.round(times.length / before));
    return { ...event, dur: ofRun.reduce((a, b) => a + b, 0) };
  });
}

/** What a compiled function did, kernel by kernel. */
export class Profile {
  readonly events: readonly ProfileEvent[];
  /** Nodes that run other nodes, whose time is in `events`. */
  private readonly containers: readonly ProfileEvent[];

  constructor(events: readonly ProfileEvent[], containers: readonly ProfileEvent[] = []) {
    this.events = events;
    this.containers = containers;
  }

  /** What several graphs did. */
  static join(profiles: readonly Profile[]): Profile {
    return new Profile(
      profiles.flatMap(({ events }) => events),
      profiles.flatMap(({ containers }) => containers),
    );
  }

  /** Reads the file that ONNX Runtime writes. @throws GraphError when it is no such file */
  static parse(text: string): Profile {
    let trace: TraceEvent[];
    try {
      trace = JSON.parse(text);
    } catch (cause) {
      throw new GraphError({
        where: "profile",
        expected: "ONNX Runtime's profile",
        received: text.slice(0, 40),
        fix: "run the function before reading its profile",
        cause,
      });
    }
    const kernels = withTimesOfCard(trace)
      .filter(({ cat, name }) => cat === "Node" && KERNEL.test(name ?? ""))
      .map(({ name = "", dur = 0, ts = 0, tid = 0, args = {} }) => ({
        ...placeOf(name),
        operator: args.op_name ?? "",
        provider: (args.provider ?? "").replace(/ExecutionProvider$/, "").toLowerCase(),
        startMs: ts / 1000,
        durationMs: dur / 1000,
        outputBytes: Number(args.output_size ?? 0),
        thread: tid,
      }));
    return new Profile(
      kernels.filter(({ operator }) => !containers.has(operator)),
      kernels.filter(({ operator }) => containers.has(operator)),
    );
  }

  /** The part from the last `count` of `total` equal runs: the first ones also warm up caches and memory. */
  lastRuns(count: number, total: number): Profile {
    return new Profile(this.events.slice(Math.round((this.events.length * (total - count)) / total)));
  }

  get totalMs(): number {
    return this.events.reduce((total, { durationMs }) => total + durationMs, 0);
  }

  /** Times and bytes by op, by module, or by ONNX operator, the longest first. */
  rows(by: "op" | "module" | "operator"): ProfileRow[] {
    const groups = new Map<string, ProfileRow>();
    const all = this.totalMs;
    for (const event of this.events) {
      const name = event[by] || "(outside of modules)";
      const row = groups.get(name) ?? { name, totalMs: 0, share: 0, calls: 0, outputBytes: 0 };
      row.totalMs += event.durationMs;
      row.share = all > 0 ? row.totalMs / all : 0;
      row.calls++;
      row.outputBytes += event.outputBytes;
      groups.set(name, row);
    }
    return [...groups.values()].sort((a, b) => b.totalMs - a.totalMs);
  }

  /** `rows` as text. @default the 20 longest by op */
  table({ by = "op", limit = 20 }: { by?: "op" | "module" | "operator"; limit?: number } = {}): string {
    const rows = this.rows(by);
    const width = Math.max(by.length, ...rows.slice(0, limit).map(({ name }) => name.length));
    const line = (name: string, ...cells: string[]) =>
      `${name.padEnd(width)}${cells.map((cell) => cell.padStart(12)).join("")}`;
    const shown = rows
      .slice(0, limit)
      .map(({ name, totalMs, share, calls, outputBytes }) =>
        line(name, totalMs.toFixed(2), `${(100 * share).toFixed(1)} %`, String(calls), (outputBytes / 1e6).toFixed(2)),
      );
    const rest = rows.length > limit ? [`... and ${rows.length - limit} more`] : [];
    return [line(by, "ms", "share", "calls", "results MB"), ...shown, ...rest].join("\n");
  }

  /**
   * Kernels that ran on the CPU although the device is another, because its provider lacks them. Of a Scan, Loop or If
   * the time is that of all nodes inside, wherever they run.
   */
  fallbacks(): ProfileRow[] {
    const all = [...this.events, ...this.containers];
    const isMixed = all.some(({ provider }) => provider !== "cpu");
    return isMixed ? new Profile(all.filter(({ provider }) => provider === "cpu")).rows("operator") : [];
  }

  /** In the format of Chrome's trace viewer (chrome://tracing, Perfetto). */
  toChromeTrace(): string {
    const traceEvents = this.events.map(
      ({ op, module, operator, provider, startMs, durationMs, outputBytes, thread }) => ({
        name: module ? `${module}/${op}` : op,
        cat: operator,
        ph: "X",
        ts: startMs * 1000,
        dur: durationMs * 1000,
        pid: 1,
        tid: thread,
        args: { operator, provider, outputBytes },
      }),
    );
    return JSON.stringify({ traceEvents, displayTimeUnit: "ms" });
  }
}
