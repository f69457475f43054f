/** Labels that do not count towards a loss, as in PyTorch and transformers. */
export const IGNORED_LABEL = -100;
