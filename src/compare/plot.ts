import type { CompareReport, TargetReport } from "./report.ts";

const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

interface Panel {
  title: string;
  value: (target: TargetReport) => number | undefined;
  digits: number;
}

const panels = ({ quality, currency }: CompareReport): Panel[] => [
  { title: `Quality by ${quality}`, value: (target) => target.quality, digits: 3 },
  { title: "Time to the first token, p50 (ms)", value: (target) => target.ttftMs.p50, digits: 0 },
  { title: "Time of the whole answer, p50 (ms)", value: (target) => target.totalMs.p50, digits: 0 },
  { title: "Output tokens per second", value: (target) => target.outputTokensPerSecond, digits: 1 },
  { title: `Cost${currency ? ` (${currency})` : ""}`, value: (target) => target.cost, digits: 6 },
];

const WIDTH = 860;
const LEFT = 240;
const BAR = 22;
const GAP = 8;
const HEAD = 34;
/** Room behind a bar for its number. */
const NUMBER = 110;

/** The report as one SVG that needs nothing else: a panel of bars for each measure that there is. */
export function plotSvg(report: CompareReport): string {
  const { targets } = report;
  const shown = panels(report).filter(({ value }) => targets.some((target) => value(target) !== undefined));
  const height = HEAD + targets.length * (BAR + GAP) + GAP;
  const parts = shown.map((panel, i) => panelSvg(panel, targets, i * height));
  const total = Math.max(1, shown.length) * height;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${total}" width="${WIDTH}" height="${total}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Comparison of models"><rect width="100%" height="100%" fill="#ffffff"/>${parts.join("")}</svg>\n`;
}

function panelSvg({ title, value, digits }: Panel, targets: readonly TargetReport[], top: number): string {
  const largest = Math.max(...targets.map((target) => value(target) ?? 0)) || 1;
  const bars = targets.map((target, i) => {
    const y = top + HEAD + i * (BAR + GAP);
    const number = value(target);
    const width = ((number ?? 0) / largest) * (WIDTH - LEFT - NUMBER);
    const text = number === undefined ? "not known" : number.toFixed(digits);
    const name = target.name.length > 32 ? `${target.name.slice(0, 31)}…` : target.name;
    return (
      `<text x="${LEFT - 10}" y="${y + 16}" text-anchor="end" fill="#1a1a1a">${escaped(name)}</text>` +
      `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="3" fill="#3b6ea5"/>` +
      `<text x="${(LEFT + width + 8).toFixed(1)}" y="${y + 16}" fill="#1a1a1a">${text}</text>`
    );
  });
  return `<text x="12" y="${top + 22}" font-weight="600" fill="#1a1a1a">${escaped(title)}</text>${bars.join("")}`;
}

/** The plot in a page of its own. */
export const plotHtml = (report: CompareReport): string =>
  `<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Comparison of models</title>\n<body>${plotSvg(report)}</body></html>\n`;
