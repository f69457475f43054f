/**
 * Small things that the browser keeps. One that keeps nothing, as in some private windows, holds them until the page is
 * closed.
 */

/** @type {Map<string, string>} */
const memory = new Map();

/** @param {string} key @returns {string | undefined} */
export function kept(key) {
  try {
    return localStorage.getItem(key) ?? memory.get(key);
  } catch {
    return memory.get(key);
  }
}

/** @param {string} key @param {string | undefined} value Undefined forgets it. */
export function keep(key, value) {
  try {
    if (value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
    memory.delete(key);
  } catch {
    if (value === undefined) memory.delete(key);
    else memory.set(key, value);
  }
}
