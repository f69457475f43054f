/** What the pieces of SentencePiece, and the tokens of a GGUF file, are for. */
export type PieceType = "normal" | "unknown" | "control" | "user-defined" | "unused" | "byte";

/** In the order of their numbers, which begin with 1. */
export const pieceTypes: readonly PieceType[] = ["normal", "unknown", "control", "user-defined", "unused", "byte"];
