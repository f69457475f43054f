/**
 * The value at a place when values are in order, 1 for the largest: by a heap of so many, whose root is its least.
 * `place` is at most the number of values.
 */
export function largestAt(values: Float32Array | Float64Array, place: number): number {
  const heap = values.slice(0, place).sort();
  for (let i = place; i < values.length; i++) {
    const value = values[i];
    if (value <= heap[0]) continue;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= place) break;
      if (child + 1 < place && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= value) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = value;
  }
  return heap[0];
}
