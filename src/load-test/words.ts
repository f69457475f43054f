/** Common English words of four letters: with the space before it, one token each in most vocabularies. */
export const words: readonly string[] = (
  "time year work hand life part side room book word line name home city road land tree fish bird song " +
  "door wall food milk rain snow wind fire lake hill farm game team ball ship boat gold iron wood rock " +
  "sand salt king moon star ring rose leaf seed corn rice soup cake face hair head foot back bank bell"
).split(" ");
