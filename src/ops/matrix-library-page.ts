/** ml-matrix in a page, where a bundle has it or has it not. */
import * as library from "ml-matrix";

export const matrixLibrary = (): typeof library => library;
