/** Light, dark, or as the system has it. */
import { keep, kept } from "./storage.mjs";

/** @typedef {"system" | "light" | "dark"} Theme */

const KEY = "kindling.theme";
/** @type {readonly Theme[]} */
export const themes = ["system", "light", "dark"];

export const currentTheme = () => themes.find((theme) => theme === kept(KEY)) ?? "system";

/** @param {Theme} theme */
export function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  keep(KEY, theme);
}
