/** A confusion matrix as a table for few classes or for many, and what was mistaken. */
import type { Confusion, Mistake } from "./extras.ts";
import { escaped, tableHtml } from "./html.ts";

/** Up to so many classes a cell has room for the count and the share of its row. */
const MOST_WIDE = 10;
/** Of more classes the matrix has those with the most mistakes. */
const MOST_CLASSES = 100;
/** Pairs of classes that are listed below a matrix. */
const MOST_PAIRS = 10;

const sumOf = (row: readonly number[]) => row.reduce((total, count) => total + count, 0);
const percent = (count: number, of: number) => `${Number(((100 * count) / (of || 1)).toFixed(1))} %`;

/** A class taken for another. */
export interface ConfusedPair {
  label: string;
  answer: string;
  count: number;
  /** Share of the true class, 0 to 1. */
  share: number;
}

/** The classes that were taken for others the most often, such pairs first. */
export function confusedPairs({ labels, counts }: Confusion, most: number = MOST_PAIRS): ConfusedPair[] {
  const pairs = counts.flatMap((row, i) => {
    const all = sumOf(row);
    return row.flatMap((count, j) =>
      i === j || count === 0 ? [] : { label: labels[i], answer: labels[j], count, share: count / all },
    );
  });
  return pairs.sort((a, b) => b.count - a.count || b.share - a.share).slice(0, most);
}

/** The matrix, and for more than two classes the pairs that are confused the most. */
export function confusionHtml(confusion: Confusion): string {
  const shown = shownClasses(confusion);
  const isWide = shown.length <= MOST_WIDE;
  const { labels } = confusion;
  const left = labels.length - shown.length;
  const notes = [
    "Rows are the true classes, columns what the model answered; the colour is the share of a row.",
    left > 0 && `Of ${labels.length} classes these ${shown.length} have the most mistakes.`,
    !isWide && "A cell says more under the pointer.",
  ].filter((note) => typeof note === "string");
  const choice = isWide
    ? ""
    : '<p><label><input type="checkbox" class="shares"> shares of rows in % in place of counts</label></p>';
  const matrix = `<p class="faint">${notes.join(" ")}</p>${choice}${matrixHtml(confusion, shown, isWide)}`;
  return `<div class="confusion">${matrix}</div>${labels.length > 2 ? pairsHtml(confusion) : ""}`;
}

/** Places of the classes that are shown, in their order. */
function shownClasses({ labels, counts }: Confusion): number[] {
  const places = labels.map((_, i) => i);
  if (places.length <= MOST_CLASSES) return places;
  const mistakes = places.map((i) => sumOf(counts[i]) + sumOf(counts.map((row) => row[i])) - 2 * counts[i][i]);
  return places
    .sort((a, b) => mistakes[b] - mistakes[a] || a - b)
    .slice(0, MOST_CLASSES)
    .sort((a, b) => a - b);
}

function matrixHtml({ labels, counts }: Confusion, shown: readonly number[], isWide: boolean): string {
  const names = labels.map(escaped);
  const rows = shown.map((i) => {
    const all = sumOf(counts[i]);
    const cells = shown.map((j) => {
      const count = counts[i][j];
      const kind = i === j ? ' class="hit"' : "";
      if (count === 0) return `<td${kind}>${isWide ? "0" : ""}</td>`;
      const share = (100 * count) / all;
      const colour = `background:color-mix(in srgb,var(--curve-0) ${Number((share * 0.5).toFixed(1))}%,transparent)`;
      const title = `${names[i]}, taken for ${names[j]}: ${count} of ${all} (${percent(count, all)})`;
      return `<td${kind} style="${colour}" title="${title}"><span>${count}</span><small>${
        isWide ? percent(count, all) : share < 0.5 ? "&lt;1" : Math.round(share)
      }</small></td>`;
    });
    return `<tr><th scope="row" title="${names[i]}, ${all}"><span>${names[i]}</span></th>${cells.join("")}</tr>`;
  });
  const head = shown.map((j) => `<th scope="col" title="${names[j]}"><span>${names[j]}</span></th>`).join("");
  const kind = isWide ? "wide" : "dense";
  return `<div class="scroll matrix" tabindex="0"><table class="${kind}"><thead><tr><td></td>${head}</tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

function pairsHtml(confusion: Confusion): string {
  const pairs = confusedPairs(confusion);
  if (pairs.length === 0) return '<p class="faint">No class was taken for another.</p>';
  const rows = pairs.map(({ label, answer, count, share }) => [
    label,
    answer,
    { number: String(count) },
    { number: percent(share, 1) },
  ]);
  const head = ["true class", "taken for", { number: "count" }, { number: "share of the class" }];
  return `<h3>Confused the most</h3>${tableHtml([head, ...rows])}`;
}

const PICTURE = /^data:image\/png;base64,[A-Za-z0-9+/=]+$/;

/** Mistaken examples with where they stand. */
export function mistakesHtml(mistakes: readonly Mistake[]): string | undefined {
  if (mistakes.length === 0) return undefined;
  const rows = mistakes.map(({ place, text, picture, label, answer, probability }) => {
    const image = picture !== undefined && PICTURE.test(picture) ? `<img src="${picture}" alt="">` : "";
    const words = text === undefined ? "" : `<div class="example">${escaped(text)}</div>`;
    const cells = [label, answer].map((name) => `<td>${escaped(name)}</td>`).join("");
    return `<tr><td>${image}${words}<div class="faint">${escaped(place)}</div></td>${cells}<td class="number">${percent(probability, 1)}</td></tr>`;
  });
  const head = '<th>example</th><th>right</th><th>given</th><th class="number">probability</th>';
  return `<p class="faint">Wrong answers of the validation data, the surest first; the probability is that of the answer.</p><div class="scroll"><table class="mistakes"><thead><tr>${head}</tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}
