import { ShapeError } from "../base/index.ts";
import { describe, type Size, sizeOf, sizesEqual, type Value } from "../ir/index.ts";
import { mul } from "./arithmetic.ts";
import { matmul } from "./matmul.ts";
import { diagonal } from "./movement.ts";
import { sum } from "./reduce.ts";
import { broadcastTo, reshape, transpose } from "./shape.ts";

/** A tensor whose axes have names: letters of the equation, and numbered ones for "...". */
interface Labelled {
  value: Value;
  labels: readonly string[];
}

/**
 * Einstein summation, as in numpy and PyTorch: each letter names an axis, letters missing on the right are summed over,
 * "..." stands for further axes, which broadcast. Several operands are multiplied from left to right, each pair by one
 * matmul. "bhqd,bhkd->bhqk" of queries and keys gives attention's scores.
 *
 * @throws ShapeError when the equation does not fit the operands
 */
export function einsum(equation: string, ...operands: readonly Value[]): Value {
  const { inputs, output } = parse(equation, operands);
  const sizes = axisSizes(equation, inputs);
  const ready = inputs.map(takeDiagonals);
  let result = ready[0];
  for (let i = 1; i < ready.length; i++) {
    const later = new Set([...output, ...ready.slice(i + 1).flatMap(({ labels }) => labels)]);
    result = contract(result, ready[i], later);
  }
  const summed = sumOver(result, (label) => !output.includes(label));
  const ordered = transpose(
    summed.value,
    output.filter((label) => summed.labels.includes(label)).map((label) => summed.labels.indexOf(label)),
  );
  return broadcastTo(
    ordered,
    output.map((label) => sizes.get(label) as Size),
  );
}

function parse(equation: string, operands: readonly Value[]): { inputs: Labelled[]; output: string[] } {
  const [left, right, ...rest] = equation.replaceAll(" ", "").split("->");
  const terms = left.split(",");
  const isFine =
    rest.length === 0 &&
    terms.length === operands.length &&
    [...terms, right ?? ""].every((term) => /^[A-Za-z]*(\.\.\.)?[A-Za-z]*$/.test(term));
  if (!isFine)
    throw misfit(
      equation,
      operands.map(describe).join(", "),
      "one term of letters for each operand, such as ij,jk->ik",
    );
  const inputs = terms.map((term, i) => ({ value: operands[i], labels: labelsOf(equation, term, operands[i]) }));
  if (right !== undefined) {
    const dots = Math.max(0, ...inputs.map(({ labels }) => labels.filter((label) => label.startsWith(".")).length));
    const output = right.includes("...") ? expand(right, dots) : [...right];
    if (new Set(output).size !== output.length) throw misfit(equation, right, "each letter at most once on the right");
    return { inputs, output };
  }
  // without an arrow: the axes of "...", then the letters that occur once, in alphabetical order
  const all = inputs.flatMap(({ labels }) => labels);
  const dots = [...new Set(all.filter((label) => label.startsWith(".")))].sort(
    (a, b) => Number(b.slice(1)) - Number(a.slice(1)),
  );
  return {
    inputs,
    output: [
      ...dots,
      ...all.filter((label) => !label.startsWith(".") && all.indexOf(label) === all.lastIndexOf(label)).sort(),
    ],
  };
}

/** Axes of "..." are numbered from the last, so that they line up at the right. */
function expand(term: string, dots: number): string[] {
  const [before, after] = term.split("...");
  return [...before, ...Array.from({ length: dots }, (_, i) => `.${dots - 1 - i}`), ...after];
}

function labelsOf(equation: string, term: string, operand: Value): string[] {
  const letters = term.replace("...", "").length;
  const labels = term.includes("...") ? expand(term, Math.max(0, operand.shape.length - letters)) : [...term];
  if (labels.length !== operand.shape.length)
    throw misfit(equation, describe(operand), `an operand with as many axes as "${term}" has letters`);
  return labels;
}

function axisSizes(equation: string, inputs: readonly Labelled[]): Map<string, Size> {
  const sizes = new Map<string, Size>();
  for (const { value, labels } of inputs) {
    labels.forEach((label, axis) => {
      const [known, size] = [sizes.get(label), value.shape[axis]];
      if (known === undefined || known === 1) sizes.set(label, size);
      else if (size !== 1 && !sizesEqual(known, size))
        throw misfit(equation, `${label} of ${known} and of ${size}`, "equal sizes (or 1) wherever a letter occurs");
    });
  }
  return sizes;
}

/** An axis that occurs twice in one operand is taken along its diagonal. */
function takeDiagonals(operand: Labelled): Labelled {
  const second = operand.labels.findIndex((label, i) => operand.labels.indexOf(label) !== i);
  if (second < 0) return operand;
  const label = operand.labels[second];
  const first = operand.labels.indexOf(label);
  const rest = operand.labels.filter((_, i) => i !== first && i !== second);
  return takeDiagonals({ value: diagonal(operand.value, { axis1: first, axis2: second }), labels: [...rest, label] });
}

function sumOver({ value, labels }: Labelled, isSummed: (label: string) => boolean): Labelled {
  const axes = labels.flatMap((label, i) => (isSummed(label) ? [i] : []));
  return axes.length === 0
    ? { value, labels }
    : { value: sum(value, { axes }), labels: labels.filter((label) => !isSummed(label)) };
}

/** Multiplies two operands and sums over the labels that nothing later needs. */
function contract(a: Labelled, b: Labelled, needed: ReadonlySet<string>): Labelled {
  const left = sumOver(a, (label) => !needed.has(label) && !b.labels.includes(label));
  const right = sumOver(b, (label) => !needed.has(label) && !a.labels.includes(label));
  const shared = left.labels.filter((label) => right.labels.includes(label));
  const isOne = (operand: Labelled, label: string) => operand.value.shape[operand.labels.indexOf(label)] === 1;
  const inner = shared.filter((label) => !needed.has(label));
  // sizes of 1 against others broadcast, which matmul's inner axis does not; a plain product does
  if (inner.length === 0 || inner.some((label) => isOne(left, label) !== isOne(right, label))) {
    const labels = [...left.labels, ...right.labels.filter((label) => !left.labels.includes(label))];
    return sumOver({ value: mul(align(left, labels), align(right, labels)), labels }, (label) => inner.includes(label));
  }
  const batch = shared.filter((label) => needed.has(label));
  const rows = left.labels.filter((label) => !shared.includes(label));
  const columns = right.labels.filter((label) => !shared.includes(label));
  const product = matmul(group(left, batch, rows, inner), group(right, batch, inner, columns));
  const size = (operand: Labelled, label: string) => operand.value.shape[operand.labels.indexOf(label)];
  const batchSizes = batch.map((label) => (isOne(left, label) ? size(right, label) : size(left, label)));
  const shape = [
    ...batchSizes,
    ...rows.map((label) => size(left, label)),
    ...columns.map((label) => size(right, label)),
  ];
  return { value: reshape(product, shape), labels: [...batch, ...rows, ...columns] };
}

/** Axes in the order of `labels`, with size 1 for those that the operand lacks. */
function align({ value, labels }: Labelled, target: readonly string[]): Value {
  const present = target.filter((label) => labels.includes(label));
  const ordered = transpose(
    value,
    present.map((label) => labels.indexOf(label)),
  );
  return reshape(
    ordered,
    target.map((label) => (labels.includes(label) ? value.shape[labels.indexOf(label)] : 1)),
  );
}

/** [batch..., product of rows, product of columns] */
function group(
  { value, labels }: Labelled,
  batch: readonly string[],
  rows: readonly string[],
  columns: readonly string[],
): Value {
  const ordered = transpose(
    value,
    [...batch, ...rows, ...columns].map((label) => labels.indexOf(label)),
  );
  const sizes = (group: readonly string[]) => group.map((label) => value.shape[labels.indexOf(label)]);
  return reshape(ordered, [...sizes(batch), sizeOf(sizes(rows)), sizeOf(sizes(columns))]);
}

function misfit(equation: string, received: string, expected: string): ShapeError {
  return new ShapeError({
    where: `einsum "${equation}"`,
    expected,
    received,
    fix: "check the letters against the shapes",
  });
}
