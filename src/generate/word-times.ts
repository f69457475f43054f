/**
 * Times of tokens by dynamic time warping over cross attention: Radford et al. 2022, arXiv:2212.04356, section 2.3, as
 * Whisper's code has it.
 */

/**
 * Attention of `heads` heads at `rows` tokens to `steps` steps of a sound, [heads, rows, steps]; the first `columns`
 * steps count.
 */
export interface Alignment {
  weights: Float32Array;
  heads: number;
  rows: number;
  steps: number;
  columns: number;
}

/**
 * The step at which each token begins.
 * @param filterWidth steps over which attention is smoothed, an odd number
 */
export function tokenSteps(alignment: Alignment, filterWidth: number): number[] {
  if (alignment.rows === 0) return [];
  const columns = Math.max(1, Math.min(alignment.columns, alignment.steps));
  const cost = new Float64Array(alignment.rows * columns);
  for (let head = 0; head < alignment.heads; head++) {
    const smooth = medianFilter(normalized(alignment, head, columns), alignment.rows, columns, filterWidth);
    for (let i = 0; i < cost.length; i++) cost[i] -= smooth[i] / alignment.heads;
  }
  return firstColumns(cost, alignment.rows, columns);
}

/** One head's weights with mean 0 and deviation 1 over the tokens, for each step. [rows, columns] */
function normalized({ weights, rows, steps }: Alignment, head: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  const at = (row: number, column: number) => weights[(head * rows + row) * steps + column];
  for (let column = 0; column < columns; column++) {
    let [sum, squares] = [0, 0];
    for (let row = 0; row < rows; row++) sum += at(row, column);
    const mean = sum / rows;
    for (let row = 0; row < rows; row++) squares += (at(row, column) - mean) ** 2;
    const deviation = Math.sqrt(squares / rows) || 1;
    for (let row = 0; row < rows; row++) out[row * columns + column] = (at(row, column) - mean) / deviation;
  }
  return out;
}

/** The median of the `width` numbers around each, along a row; rows are mirrored at their ends. */
function medianFilter(values: Float64Array, rows: number, columns: number, width: number): Float64Array {
  const half = width >> 1;
  if (columns <= half) return values;
  const out = new Float64Array(values.length);
  const window = new Float64Array(width);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let i = 0; i < width; i++) {
        const at = Math.abs(column + i - half);
        window[i] = values[row * columns + (at < columns ? at : 2 * (columns - 1) - at)];
      }
      out[row * columns + column] = window.sort()[half];
    }
  }
  return out;
}

const [BOTH, ROW, COLUMN] = [0, 1, 2];

/**
 * The cheapest way from the first corner to the last, by rows, columns or both: the column at which it enters each row.
 */
function firstColumns(cost: Float64Array, rows: number, columns: number): number[] {
  const width = columns + 1;
  const total = new Float32Array((rows + 1) * width).fill(Number.POSITIVE_INFINITY);
  const came = new Uint8Array((rows + 1) * width);
  total[0] = 0;
  came.fill(COLUMN, 0, width);
  for (let i = 1; i <= rows; i++) {
    came[i * width] = ROW;
    for (let j = 1; j <= columns; j++) {
      const here = i * width + j;
      const [both, row, column] = [total[here - width - 1], total[here - width], total[here - 1]];
      const way = both < row && both < column ? BOTH : row < both && row < column ? ROW : COLUMN;
      came[here] = way;
      total[here] = cost[(i - 1) * columns + j - 1] + [both, row, column][way];
    }
  }
  const first = new Array<number>(rows).fill(0);
  for (let i = rows, j = columns; i > 0 || j > 0; ) {
    if (i > 0) first[i - 1] = Math.max(0, j - 1);
    const way = came[i * width + j];
    if (way !== COLUMN) i--;
    if (way !== ROW) j--;
  }
  return first;
}
