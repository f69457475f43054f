/** A part of a window's text: its times in steps, and its tokens from `first` to before `last`. */
interface Part {
  start: number;
  end: number;
  first: number;
  last: number;
}

/**
 * Cuts a window's text where two times follow one another, the end of a part and the start of the next.
 * @param zero the token for 0 seconds; those after it are later times
 * @returns the parts, and after how many steps the next window begins; without a number, after this one
 */
export function cutWindow(
  tokens: readonly number[],
  zero: number,
  windowSteps: number,
): { segments: Part[]; stepsDone?: number } {
  const isTime = (i: number) => tokens[i] >= zero;
  const cuts = tokens.flatMap((_, i) => (i > 0 && isTime(i) && isTime(i - 1) ? [i] : []));
  if (cuts.length === 0) {
    const last = tokens.findLast((id) => id >= zero);
    const end = last === undefined || last === zero ? windowSteps : last - zero;
    return { segments: tokens.length === 0 ? [] : [{ start: 0, end, first: 0, last: tokens.length }] };
  }
  // a single time at the end says that nothing is spoken after it; else what follows the last cut is heard again, as a
  // whole
  const isSpoken = !(isTime(tokens.length - 1) && !isTime(tokens.length - 2));
  const ends = isSpoken ? cuts : [...cuts, tokens.length];
  const segments = ends.map((last, i) => {
    const first = i === 0 ? 0 : ends[i - 1];
    return { start: Math.max(0, tokens[first] - zero), end: Math.max(0, tokens[last - 1] - zero), first, last };
  });
  const stepsDone = segments[segments.length - 1].end;
  return { segments, ...(isSpoken && stepsDone > 0 && { stepsDone }) };
}
