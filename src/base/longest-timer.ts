/** The longest time that a timer can wait, in milliseconds: timers count in 31 bits, and a longer one ends at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;
