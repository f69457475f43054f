/** How a text has ended: by a token or text that stops it, or as long as it may be. */
export type FinishReason = "stop" | "length";
