/** ml-matrix, loaded when a matrix is first decomposed: it is large, and few programs do. */
import { createRequire } from "node:module";

type MatrixLibrary = typeof import("ml-matrix");
let loaded: MatrixLibrary | undefined;

export function matrixLibrary(): MatrixLibrary {
  loaded ??= createRequire(import.meta.url)("ml-matrix") as MatrixLibrary;
  return loaded;
}
