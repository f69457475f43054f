import { isSound, loss, paretoFront, type TrialRecord } from "../records.ts";
import type { Parameter } from "../space.ts";
import type { StoredStudy } from "../store.ts";
import { type Axis, linearAxis, parameterAxis, short, valueAxis } from "./axes.ts";

/** A text as HTML shows it, also in attributes in quotes. */
export const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

interface Frame {
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const wide: Frame = { width: 720, height: 260, left: 62, right: 14, top: 12, bottom: 34 };
const small: Frame = { width: 340, height: 220, left: 58, right: 12, top: 10, bottom: 34 };
/** More lines in one chart hide one another. */
const MOST_LINES = 200;

const xOf = ({ width, left, right }: Frame, share: number) => (left + share * (width - left - right)).toFixed(1);
const yOf = ({ height, top, bottom }: Frame, share: number) =>
  (height - bottom - share * (height - top - bottom)).toFixed(1);

const svg = ({ width, height }: Pick<Frame, "width" | "height">, label: string, content: string) =>
  `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(label)}">${content}</svg>`;

interface Axes {
  x: Pick<Axis, "ticks">;
  y: Pick<Axis, "ticks">;
  /** What is along the bottom. */
  caption: string;
}

function grid(frame: Frame, { x, y, caption }: Axes): string {
  const { width, height, left, right, bottom } = frame;
  const rows = y.ticks.map(({ place, label }) => {
    const at = yOf(frame, place);
    const line = `<line class="grid" x1="${left}" x2="${width - right}" y1="${at}" y2="${at}"/>`;
    return `${line}<text x="${left - 7}" y="${at}" dy="4" text-anchor="end">${escaped(label)}</text>`;
  });
  const columns = x.ticks.map(
    ({ place, label }) =>
      `<text x="${xOf(frame, place)}" y="${height - bottom + 15}" text-anchor="middle">${escaped(cut(label, 12))}</text>`,
  );
  const name = `<text class="caption" x="${(left + width - right) / 2}" y="${height - 4}" text-anchor="middle">${escaped(caption)}</text>`;
  return rows.join("") + columns.join("") + name;
}

const cut = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** The name of a trial under the pointer. */
function titleOf({ number, state, value, values }: TrialRecord): string {
  const chosen = Object.entries(values).map(([name, chosen]) => `${name} ${short(chosen)}`);
  return `<title>${escaped(`trial ${number}, ${value === undefined ? state : short(value)}\n${chosen.join("\n")}`)}</title>`;
}

const dot = (trial: TrialRecord, x: string, y: string, kind: string) =>
  `<circle class="dot ${kind}" data-trial="${trial.number}" cx="${x}" cy="${y}" r="4">${titleOf(trial)}</circle>`;

const complete = (study: StoredStudy): (TrialRecord & { value: number })[] =>
  study.trials.filter((trial): trial is TrialRecord & { value: number } => trial.value !== undefined);
const axisOf = ({ direction }: StoredStudy, values: readonly number[]) => valueAxis(values, direction === "minimize");

/** The values of the trials, one after another, and the best so far. */
export function historyChart(study: StoredStudy): string {
  const trials = complete(study);
  const y = axisOf(
    study,
    trials.map(({ value }) => value),
  );
  const x = linearAxis(0, Math.max(1, study.trials.length - 1), 8);
  const place = (number: number) => xOf(wide, x.place(number));
  const dots = trials.map((trial) =>
    dot(trial, place(trial.number), yOf(wide, y.place(trial.value)), isSound(trial) ? "complete" : "broken"),
  );
  const cuts = study.trials.filter(({ state }) => state === "pruned" || state === "failed");
  const marks = cuts.map((trial) => dot(trial, place(trial.number), yOf(wide, 0), trial.state));
  let best: number | undefined;
  let path = "";
  for (const trial of trials.filter(isSound)) {
    if (best !== undefined && loss(study.direction, trial.value) >= loss(study.direction, best)) continue;
    const at = place(trial.number);
    path += `${best === undefined ? `M${at}` : `H${at}V`}${best === undefined ? "," : ""}${yOf(wide, y.place(trial.value))}`;
    best = trial.value;
  }
  const line = best === undefined ? "" : `<path class="best-line" d="${path}H${place(study.trials.length - 1)}"/>`;
  return svg(
    wide,
    "Values of the trials and the best so far",
    grid(wide, { x, y, caption: "trial" }) + line + dots.join("") + marks.join(""),
  );
}

/** The values of the trials over another objective, with the Pareto front; a line through it where it is one of two. */
export function objectiveChart(study: StoredStudy, name: string): string {
  const trials = complete(study).filter(({ metrics = {} }) => name in metrics);
  const { objectives = {} } = study;
  const other = (trial: TrialRecord) => trial.metrics?.[name] as number;
  const x = valueAxis(trials.map(other), objectives[name] === "minimize");
  const y = axisOf(
    study,
    trials.map(({ value }) => value),
  );
  const front = new Set<TrialRecord>(paretoFront(study));
  const at = (trial: TrialRecord & { value: number }) =>
    [xOf(wide, x.place(other(trial))), yOf(wide, y.place(trial.value))] as const;
  const kind = (trial: TrialRecord) => (front.has(trial) ? "front" : isSound(trial) ? "complete" : "broken");
  const dots = trials.map((trial) => dot(trial, ...at(trial), kind(trial)));
  const along = trials.filter((trial) => front.has(trial)).sort((a, b) => other(a) - other(b));
  const isOfTwo = Object.keys(objectives).length === 1 && along.length > 1;
  const line = isOfTwo
    ? `<polyline class="best-line" points="${along.map((trial) => at(trial).join()).join(" ")}"/>`
    : "";
  const label = `Values over ${name}, and the Pareto front`;
  return svg(wide, label, grid(wide, { x, y, caption: cut(name, 40) }) + line + dots.join(""));
}

/** What trials reported on the way. */
export function curveChart(study: StoredStudy): string {
  const trials = study.trials.filter(({ reports }) => reports.length > 0).slice(-MOST_LINES);
  const reports = trials.flatMap((trial) => trial.reports);
  if (reports.length === 0) return "";
  const steps = reports.map(({ step }) => step);
  const x = linearAxis(Math.min(...steps), Math.max(...steps), 8);
  const y = axisOf(
    study,
    reports.map(({ value }) => value),
  );
  const lines = trials.map((trial) => {
    const points = trial.reports.filter(({ value }) => Number.isFinite(value));
    const at = points.map(({ step, value }) => `${xOf(wide, x.place(step))},${yOf(wide, y.place(value))}`);
    const shape =
      at.length === 1
        ? `<circle class="curve-end ${trial.state}" data-trial="${trial.number}" cx="${at[0].split(",")[0]}" cy="${at[0].split(",")[1]}" r="3">`
        : `<polyline class="curve ${trial.state}" data-trial="${trial.number}" points="${at.join(" ")}">`;
    return at.length === 0 ? "" : `${shape}${titleOf(trial)}</${at.length === 1 ? "circle" : "polyline"}>`;
  });
  return svg(wide, "What the trials reported at each step", grid(wide, { x, y, caption: "step" }) + lines.join(""));
}

/** The values of the trials over one parameter. */
export function parameterChart(study: StoredStudy, name: string, parameter: Parameter): string {
  const trials = complete(study).filter(({ values }) => name in values);
  const y = axisOf(
    study,
    complete(study).map(({ value }) => value),
  );
  const x = parameterAxis(parameter);
  const dots = trials.map((trial) =>
    dot(
      trial,
      xOf(small, x.place(trial.values[name])),
      yOf(small, y.place(trial.value)),
      isSound(trial) ? "complete" : "broken",
    ),
  );
  return svg(small, `Values over ${name}`, grid(small, { x, y, caption: cut(name, 40) }) + dots.join(""));
}

/** A line for each trial through its parameters to its value; the better ones are stronger. */
export function parallelChart(study: StoredStudy): string {
  const names = Object.keys(study.space);
  const frame = {
    ...wide,
    width: Math.max(720, 130 * (names.length + 1)),
    height: 300,
    left: 50,
    right: 60,
    top: 30,
    bottom: 16,
  };
  const trials = complete(study)
    .toSorted((a, b) => loss(study.direction, b.value) - loss(study.direction, a.value))
    .slice(-MOST_LINES);
  const value = axisOf(
    study,
    trials.map((trial) => trial.value),
  );
  const axes = names.map((name) => ({ name, ...parameterAxis(study.space[name]) }));
  const at = (column: number) => xOf(frame, column / names.length);
  const lines = trials.map((trial, rank) => {
    const places = axes.flatMap(({ name, place }, column) =>
      name in trial.values ? [`${at(column)},${yOf(frame, place(trial.values[name]))}`] : [],
    );
    const points = [...places, `${at(names.length)},${yOf(frame, value.place(trial.value))}`].join(" ");
    const opacity = (0.12 + 0.78 * ((rank + 1) / trials.length) ** 3).toFixed(2);
    return `<polyline class="thread" data-trial="${trial.number}" style="opacity:${opacity}" points="${points}">${titleOf(trial)}</polyline>`;
  });
  const columns = [...axes, { name: "value", ticks: value.ticks }].map(({ name, ticks }, column) => {
    const line = `<line class="axis" x1="${at(column)}" x2="${at(column)}" y1="${yOf(frame, 0)}" y2="${yOf(frame, 1)}"/>`;
    const labels = ticks.map(
      ({ place, label }) =>
        `<text class="halo" x="${at(column)}" dx="5" y="${yOf(frame, place)}" dy="4">${escaped(cut(label, 10))}</text>`,
    );
    return `${line}<text class="caption" x="${at(column)}" y="16" text-anchor="middle">${escaped(cut(name, 16))}</text>${labels.join("")}`;
  });
  return svg(frame, "A line for each trial through its parameters to its value", lines.join("") + columns.join(""));
}

const BAR = 26;

/** How much each parameter matters. */
export function importanceChart(importance: Readonly<Record<string, number>>): string {
  const entries = Object.entries(importance).sort(([, a], [, b]) => b - a);
  const [left, width] = [150, 720];
  const bars = entries.map(([name, share], i) => {
    const length = share * (width - left - 70);
    const [y, text] = [i * BAR, `${(100 * share).toFixed(0)} %`];
    return `<text x="${left - 8}" y="${y + 17}" text-anchor="end">${escaped(cut(name, 22))}</text><rect class="bar" x="${left}" y="${y + 4}" width="${length.toFixed(1)}" height="${BAR - 8}" rx="3"/><text x="${(left + length + 8).toFixed(1)}" y="${y + 17}">${text}</text>`;
  });
  return svg({ width, height: entries.length * BAR + 4 }, "How much each parameter matters", bars.join(""));
}
