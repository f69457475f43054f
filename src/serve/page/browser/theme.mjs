/** Light, dark, or as the system has it. */

/** @typedef {"system" | "light" | "dark"} Theme */

const KEY = "kindling.theme";
/** @type {readonly Theme[]} */
export const themes = ["system", "light", "dark"];

/** @returns {Theme} */
export function currentTheme() {
  try {
    const kept = localStorage.getItem(KEY);
    return themes.find((theme) => theme === kept) ?? "system";
  } catch {
    return "system"; // a browser that keeps nothing
  }
}

/** @param {Theme} theme */
export function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // it holds until the page is closed
  }
}
