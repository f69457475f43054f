/** [i][j]: the length of the longest common subsequence of the first i and the first j things. */
export function lengthsTable(a: readonly string[], b: readonly string[]): Int32Array[] {
  const table = Array.from({ length: a.length + 1 }, () => new Int32Array(b.length + 1));
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++)
      table[i][j] = a[i - 1] === b[j - 1] ? table[i - 1][j - 1] + 1 : Math.max(table[i - 1][j], table[i][j - 1]);
  return table;
}

/** The length of the longest run of things that both have. */
export function longestRun(a: readonly string[], b: readonly string[]): number {
  let longest = 0;
  let last = new Int32Array(b.length + 1);
  for (const item of a) {
    const next = new Int32Array(b.length + 1);
    for (let j = 1; j <= b.length; j++) {
      if (item !== b[j - 1]) continue;
      next[j] = last[j - 1] + 1;
      longest = Math.max(longest, next[j]);
    }
    last = next;
  }
  return longest;
}
