/** How a sequence becomes another by the fewest changes. */
export interface EditCounts {
  hits: number;
  substitutions: number;
  /** Things of the reference that are missing. */
  deletions: number;
  /** Things that the reference has not. */
  insertions: number;
}

/** A stretch of an alignment: places in the reference and in the prediction, each from the first to before the last. */
export interface AlignmentPart {
  type: "equal" | "substitute" | "delete" | "insert";
  reference: readonly [number, number];
  prediction: readonly [number, number];
}

type Step = AlignmentPart["type"];

/**
 * The fewest changes from a reference to a prediction, in their order. Of several ways with as few changes it is the
 * one that rapidfuzz takes: what both have at their beginnings and ends stays, and from behind a deletion comes before
 * an insertion, and that before a substitution where the row above falls.
 */
export function alignmentOf(reference: readonly string[], prediction: readonly string[]): AlignmentPart[] {
  let prefix = 0;
  const shorter = Math.min(reference.length, prediction.length);
  while (prefix < shorter && reference[prefix] === prediction[prefix]) prefix++;
  let suffix = 0;
  while (
    suffix < shorter - prefix &&
    reference[reference.length - 1 - suffix] === prediction[prediction.length - 1 - suffix]
  )
    suffix++;
  const middle = stepsOf(
    reference.slice(prefix, reference.length - suffix),
    prediction.slice(prefix, prediction.length - suffix),
  );
  const equal = (count: number) => new Array<Step>(count).fill("equal");
  return partsOf([...equal(prefix), ...middle, ...equal(suffix)]);
}

/** [i][j]: the distance of the first i things of the prediction from the first j of the reference. */
function distances(reference: readonly string[], prediction: readonly string[]): Int32Array[] {
  const table = Array.from({ length: prediction.length + 1 }, () => new Int32Array(reference.length + 1));
  for (let j = 0; j <= reference.length; j++) table[0][j] = j;
  for (let i = 1; i <= prediction.length; i++) {
    table[i][0] = i;
    for (let j = 1; j <= reference.length; j++) {
      const diagonal = table[i - 1][j - 1] + Number(reference[j - 1] !== prediction[i - 1]);
      table[i][j] = Math.min(diagonal, table[i - 1][j] + 1, table[i][j - 1] + 1);
    }
  }
  return table;
}

function stepsOf(reference: readonly string[], prediction: readonly string[]): Step[] {
  const table = distances(reference, prediction);
  const steps: Step[] = [];
  let [i, j] = [prediction.length, reference.length];
  while (i > 0 && j > 0) {
    if (table[i][j] === table[i][j - 1] + 1) {
      steps.push("delete");
      j--;
      continue;
    }
    i--;
    if (i > 0 && table[i][j] === table[i][j - 1] - 1) {
      steps.push("insert");
      continue;
    }
    j--;
    steps.push(reference[j] === prediction[i] ? "equal" : "substitute");
  }
  steps.push(...new Array<Step>(j).fill("delete"), ...new Array<Step>(i).fill("insert"));
  return steps.reverse();
}

function partsOf(steps: readonly Step[]): AlignmentPart[] {
  const parts: AlignmentPart[] = [];
  let [r, p] = [0, 0];
  for (let at = 0; at < steps.length; ) {
    const [type, start] = [steps[at], at];
    while (at < steps.length && steps[at] === type) at++;
    const [nextR, nextP] = [type === "insert" ? r : r + at - start, type === "delete" ? p : p + at - start];
    parts.push({ type, reference: [r, nextR], prediction: [p, nextP] });
    [r, p] = [nextR, nextP];
  }
  return parts;
}

/** How many changes of each kind there are. */
export function countEdits(parts: readonly AlignmentPart[]): EditCounts {
  const counts: EditCounts = { hits: 0, substitutions: 0, deletions: 0, insertions: 0 };
  for (const { type, reference, prediction } of parts) {
    if (type === "insert") counts.insertions += prediction[1] - prediction[0];
    else if (type === "delete") counts.deletions += reference[1] - reference[0];
    else if (type === "equal") counts.hits += reference[1] - reference[0];
    else counts.substitutions += reference[1] - reference[0];
  }
  return counts;
}
