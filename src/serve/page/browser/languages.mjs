/** The languages of the page. */

import { chinese } from "./chinese.mjs";
import { english } from "./english.mjs";

/** @typedef {"en" | "zh"} Language */

const KEY = "kindling.language";
const all = { en: english, zh: chinese };

/** @returns {Language} */
function preferred() {
  try {
    const kept = localStorage.getItem(KEY);
    if (kept === "en" || kept === "zh") return kept;
  } catch {
    // a browser that keeps nothing
  }
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** @type {Language} */
let language = preferred();
document.documentElement.lang = language === "zh" ? "zh-CN" : "en";

/** What the page says. */
export const words = () => all[language];

export const currentLanguage = () => language;

/** @param {Language} next */
export function setLanguage(next) {
  language = next;
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // it holds until the page is closed
  }
}
