import type { StoredStudy } from "./store.ts";

/** A cell of a table of comma-separated values, in quotes where it needs them (RFC 4180). */
function cellOf(value: unknown): string {
  if (value === undefined) return "";
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The trials of a study as comma-separated values, a line for each. */
export function studyCsv({ space, trials }: StoredStudy): string {
  const names = (part: "metrics" | "constraints") => [
    ...new Set(trials.flatMap((trial) => Object.keys(trial[part] ?? {}))),
  ];
  const [metrics, constraints] = [names("metrics"), names("constraints")];
  const parameters = Object.keys(space);
  const head = [
    ...["trial", "state", "value", "budget", ...parameters.map((name) => `values.${name}`)],
    ...[...metrics.map((name) => `metrics.${name}`), ...constraints.map((name) => `constraints.${name}`)],
    ...["steps", "attempts", "start", "seconds", "error"],
  ];
  const rows = trials.map((trial) => {
    const { number, state, value, budget, values, reports, attempts, startTime, endTime, error } = trial;
    const seconds = endTime === undefined ? undefined : (endTime - startTime) / 1000;
    return [
      ...[number, state, value, budget, ...parameters.map((name) => values[name])],
      ...[...metrics.map((name) => trial.metrics?.[name]), ...constraints.map((name) => trial.constraints?.[name])],
      ...[reports.at(-1)?.step, attempts, new Date(startTime).toISOString(), seconds, error],
    ];
  });
  return [head, ...rows].map((row) => `${row.map(cellOf).join(",")}\n`).join("");
}
