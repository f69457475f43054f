import type { CurvePoint } from "../runs/run-record.ts";
import { shortNumber } from "../words.ts";
import { escaped, MOST_CURVES } from "./html.ts";

/** A curve of a chart. */
export interface Curve {
  name: string;
  points: readonly CurvePoint[];
}

const WIDTH = 520;
const HEIGHT = 240;
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 508, 10, 214];
/** More points than pixels show nothing more: each of so many is a mean. */
const MOST_POINTS = 400;
const TICKS = 4;

/** Curves over the steps as SVG, in HTML with their names and what the pointer shows; nothing where no number is. */
export function chartHtml(title: string, curves: readonly Curve[]): string {
  const finite = curves
    .map(({ name, points }) => ({ name, points: points.filter(({ value }) => Number.isFinite(value)) }))
    .filter(({ points }) => points.length > 0)
    .slice(0, MOST_CURVES);
  if (finite.length === 0) return "";
  const [first, last] = rangeOf(finite.flatMap(({ points }) => [points[0].step, points[points.length - 1].step]));
  const drawn = finite.map(({ name, points }) => ({ name, points: thinned(points) }));
  const all = drawn.flatMap(({ points }) => points);
  const ticks = ticksOf(...rangeOf(all.map(({ value }) => value)));
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const x = (step: number) => LEFT + (last === first ? 0 : (step - first) / (last - first)) * (RIGHT - LEFT);
  const y = (value: number) => BOTTOM - ((value - low) / (high - low)) * (BOTTOM - TOP);
  const data = {
    curves: drawn.map(({ name, points }) => ({ name, points: points.map(({ step, value }) => [step, value]) })),
    ...{ left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM, first, last },
  };
  const label = `${title}: ${drawn.map(spoken).join("; ")}`;
  const lines = drawn.map(({ points }, i) => lineOf(points, i, { x, y })).join("");
  const names = drawn.map(
    ({ name }, i) => `<span><span class="key" style="background:var(--curve-${i})"></span>${escaped(name)}</span>`,
  );
  return (
    `<figure data-curves="${escaped(JSON.stringify(data))}"><figcaption>${escaped(title)}</figcaption>` +
    `${drawn.length > 1 ? `<div class="legend">${names.join("")}</div>` : ""}` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" tabindex="0" aria-label="${escaped(label)}">` +
    `${ticks.map((tick) => tickOf(tick, y(tick))).join("")}${lines}` +
    `<text x="${LEFT}" y="${HEIGHT - 8}">${first}</text><text x="${(LEFT + RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">step</text>` +
    `<text x="${RIGHT}" y="${HEIGHT - 8}" text-anchor="end">${last}</text>` +
    `<line class="cursor" x1="0" x2="0" y1="${TOP}" y2="${BOTTOM}" stroke="var(--faint)" style="display:none"/></svg>` +
    `<div class="reading">${escaped(drawn.map(ending).join(", "))}</div></figure>`
  );
}

const spoken = ({ name, points }: Curve) =>
  `${name} from ${shortNumber(points[0].value)} to ${shortNumber(points[points.length - 1].value)}`;
const ending = ({ name, points }: Curve, _: number, { length }: readonly Curve[]) =>
  `${length > 1 ? `${name} ` : ""}${shortNumber(points[points.length - 1].value)} at step ${points[points.length - 1].step}`;

const tickOf = (tick: number, y: number) =>
  `<line x1="${LEFT}" x2="${RIGHT}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}" stroke="var(--line)"/>` +
  `<text x="${LEFT - 8}" y="${(y + 4).toFixed(1)}" text-anchor="end">${shortNumber(Number(tick.toPrecision(6)))}</text>`;

interface Scales {
  x: (step: number) => number;
  y: (value: number) => number;
}

/** A single point is a dot. */
function lineOf(points: readonly CurvePoint[], index: number, { x, y }: Scales): string {
  const colour = `var(--curve-${index})`;
  const places = points.map(({ step, value }) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`);
  if (points.length === 1) {
    const [{ step, value }] = points;
    return `<circle cx="${x(step).toFixed(1)}" cy="${y(value).toFixed(1)}" r="3.5" fill="${colour}"/>`;
  }
  return `<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" stroke-width="1.8" stroke-linejoin="round"/>`;
}

/** Means of neighbours, so that there are few enough points. */
function thinned(points: readonly CurvePoint[]): CurvePoint[] {
  if (points.length <= MOST_POINTS) return [...points];
  return Array.from({ length: MOST_POINTS }, (_, i) => {
    const from = Math.floor((i * points.length) / MOST_POINTS);
    const part = points.slice(from, Math.floor(((i + 1) * points.length) / MOST_POINTS));
    const value = part.reduce((sum, point) => sum + point.value, 0) / part.length;
    return { step: part[part.length - 1].step, value };
  });
}

const rangeOf = (values: readonly number[]): [number, number] =>
  values.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );

/** Round numbers around a range: steps of 1, 2 or 5 times a power of ten. */
function ticksOf(low: number, high: number): number[] {
  const spread = high - low || Math.abs(high) || 1;
  const rough = spread / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const begin = Math.floor(low / step);
  const end = Math.max(begin + 1, Math.ceil(high / step));
  return Array.from({ length: end - begin + 1 }, (_, i) => (begin + i) * step);
}
