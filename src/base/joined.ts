/** Pieces one after another in one array. @param type the array's, of numbers that hold those of the pieces */
export function joined<T extends Uint8Array | Int32Array | Float32Array | Float64Array>(
  type: new (length: number) => T,
  pieces: readonly ArrayLike<number>[],
): T {
  const out = new type(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
