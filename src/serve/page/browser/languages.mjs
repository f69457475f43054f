/** The languages of the page. */

import { chinese } from "./chinese.mjs";
import { english } from "./english.mjs";
import { keep, kept } from "./storage.mjs";

/** @typedef {"en" | "zh"} Language */

const KEY = "kindling.language";
const all = { en: english, zh: chinese };

/** @returns {Language} */
function preferred() {
  const language = kept(KEY);
  if (language === "en" || language === "zh") return language;
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
  keep(KEY, next);
}
