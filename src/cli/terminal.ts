import { plot } from "asciichart";

/** Writes progress: a line that redraws itself on a terminal, plain lines now and then elsewhere. */
export class ProgressLine {
  private readonly stream: NodeJS.WriteStream;
  private readonly plainIntervalMs: number;
  private lastPlain = Number.NEGATIVE_INFINITY;
  private isOpen = false;

  constructor(stream: NodeJS.WriteStream = process.stdout, plainIntervalMs = 5000) {
    this.stream = stream;
    this.plainIntervalMs = plainIntervalMs;
  }

  /** Columns of the terminal, or what is usual. */
  get columns(): number {
    return this.stream.columns || 80;
  }

  /** Shows the state now, in a narrow terminal the short text. Without a terminal most calls write nothing. */
  show(text: string, short = text): void {
    if (this.stream.isTTY) {
      this.stream.write(`\r\u001b[K${(text.length < this.columns ? text : short).slice(0, this.columns - 1)}`);
      this.isOpen = true;
    } else if (performance.now() - this.lastPlain >= this.plainIntervalMs) {
      this.lastPlain = performance.now();
      this.stream.write(`${text}\n`);
    }
  }

  /** Writes a line that stays, above the progress. */
  print(text = ""): void {
    this.end();
    this.stream.write(`${text}\n`);
  }

  /** Leaves the last state standing. */
  end(): void {
    if (this.isOpen) this.stream.write("\r\u001b[K");
    this.isOpen = false;
  }
}

const MINUTE = 60;
const HOUR = 3600;

/** "45 s", "3 min 20 s", "2 h 5 min" */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min ${whole % MINUTE} s`;
  return `${Math.floor(whole / HOUR)} h ${Math.floor((whole % HOUR) / MINUTE)} min`;
}

/** 1234567 -> "1.2M" */
export function formatCount(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)}B`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)}M`;
  return count >= 1e4 ? `${(count / 1e3).toFixed(0)}k` : String(Math.round(count));
}

/** 1572864 -> "1.5 MiB" */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const) {
    if (bytes >= size) return `${(bytes / size).toFixed(1)} ${unit}`;
  }
  return `${bytes} bytes`;
}

export interface CurvePoint {
  step: number;
  loss: number;
}

const LABEL_COLUMNS = 10;
const WIDEST_CURVE = 64;
/** Narrower ones say nothing. */
const NARROWEST_CURVE = 8;

/** A chart of the loss over the steps, in a terminal of so many columns. */
export function drawCurve(
  points: readonly CurvePoint[],
  { columns = 80, height = 12 }: { columns?: number; height?: number } = {},
): string {
  if (points.length < 2) return "";
  const width = Math.min(Math.max(NARROWEST_CURVE, Math.min(WIDEST_CURVE, columns - LABEL_COLUMNS - 1)), points.length);
  const values = Array.from({ length: width }, (_, column) => {
    const from = Math.floor((column * points.length) / width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * points.length) / width));
    const part = points.slice(from, to);
    return part.reduce((sum, { loss }) => sum + loss, 0) / part.length;
  });
  const first = `step ${points[0].step}`;
  const last = `step ${points[points.length - 1].step}`;
  const axis = `${" ".repeat(LABEL_COLUMNS)}${first}${" ".repeat(Math.max(1, width - first.length - last.length))}${last}`;
  return `${plot(values, { height, format: (x) => x.toFixed(3).padStart(8) })}\n${axis}`;
}

/** A curve of several, by its name. */
export interface NamedCurve {
  name: string;
  points: readonly CurvePoint[];
}

/** Of terminals, for curves in one chart. */
const curveColours = ["\u001b[34m", "\u001b[33m", "\u001b[32m", "\u001b[35m", "\u001b[36m", "\u001b[31m"];
const NO_COLOUR = "\u001b[0m";

/**
 * Several curves over the same steps: in one chart by colours where there are any, otherwise one below another, all on
 * the same scale.
 */
export function drawCurves(
  curves: readonly NamedCurve[],
  { columns = 80, height = 12, hasColours = false }: { columns?: number; height?: number; hasColours?: boolean } = {},
): string {
  const drawn = curves.filter(({ points }) => points.length > 1);
  if (drawn.length === 0) return "";
  const lastStep = Math.max(...drawn.map(({ points }) => points[points.length - 1].step));
  const width = Math.max(NARROWEST_CURVE, Math.min(WIDEST_CURVE, columns - LABEL_COLUMNS - 1));
  const series = drawn.map(({ points }) => onColumns(points, lastStep, width));
  const [min, max] = [Math.min(...series.flat()), Math.max(...series.flat())];
  const format = (x: number) => x.toFixed(3).padStart(8);
  const end = `step ${lastStep}`;
  const axis = `${" ".repeat(LABEL_COLUMNS)}0${" ".repeat(Math.max(1, width - end.length - 1))}${end}`;
  if (!hasColours)
    return drawn
      .map(({ name }, i) => `${name}\n${plot(series[i], { height, min, max, format })}\n${axis}`)
      .join("\n\n");
  const colors = drawn.map((_, i) => curveColours[i % curveColours.length]);
  const names = drawn.map(({ name }, i) => `${colors[i]}${name}${NO_COLOUR}`).join("  ");
  return `${plot(series, { height, min, max, colors, format })}\n${axis}\n${" ".repeat(LABEL_COLUMNS)}${names}`;
}

/** Means of the points by columns from step 0 to the last of all; a column without one has the value before it. */
function onColumns(points: readonly CurvePoint[], lastStep: number, width: number): number[] {
  const columnOf = (step: number) => Math.min(width - 1, Math.floor((step * width) / Math.max(1, lastStep)));
  const sums = Array.from({ length: columnOf(points[points.length - 1].step) + 1 }, () => ({ sum: 0, count: 0 }));
  for (const { step, loss } of points) {
    const column = sums[columnOf(step)];
    column.sum += loss;
    column.count++;
  }
  let last = points[0].loss;
  return sums.map(({ sum, count }) => {
    if (count > 0) last = sum / count;
    return last;
  });
}

/** Rows whose columns stand below one another; those of numbers by their right. */
export function tableOf(rows: readonly string[][], numberColumns: readonly number[] = []): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: string[]) =>
    row.map((cell, column) =>
      numberColumns.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]),
    );
  return rows.map((row) => `${line(row).join("  ").trimEnd()}\n`).join("");
}
