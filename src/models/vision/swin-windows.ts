import { type Tensor, tensor } from "../../tensor/index.ts";

/** Added to scores of places that only the cyclic shift brought together. */
const APART = -100;

type Grid = readonly [number, number];
/** Row of the bias table for each pair of places in a window, i32 [w², w²]. */
export function biasRows(window: number): Tensor<"i32"> {
  const cells = window * window;
  const rows = Int32Array.from({ length: cells * cells }, (_, n) => {
    const [i, j] = [Math.floor(n / cells), n % cells];
    const down = Math.floor(i / window) - Math.floor(j / window) + window - 1;
    const across = (i % window) - (j % window) + window - 1;
    return down * (2 * window - 1) + across;
  });
  return tensor(rows, { shape: [cells, cells] });
}

/** What keeps apart the places of each window that came from different sides of the map: [windows, 1, w², w²]. */
export function shiftMask([height, columns]: Grid, window: number, shift: number): Tensor<"f32"> {
  const region = (index: number, length: number) => Number(index >= length - window) + Number(index >= length - shift);
  const [down, across] = [height / window, columns / window];
  const cells = window * window;
  const idOf = (w: number, cell: number) => {
    const y = Math.floor(w / across) * window + Math.floor(cell / window);
    const x = (w % across) * window + (cell % window);
    return 3 * region(y, height) + region(x, columns);
  };
  const mask = Float32Array.from({ length: down * across * cells * cells }, (_, n) => {
    const [w, i, j] = [Math.floor(n / (cells * cells)), Math.floor(n / cells) % cells, n % cells];
    return idOf(w, i) === idOf(w, j) ? 0 : APART;
  });
  return tensor(mask, { shape: [down * across, 1, cells, cells] });
}
