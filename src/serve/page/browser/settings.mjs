/** What a request asks for besides its messages. A new conversation begins with the settings of the last. */
import { keep, kept } from "./storage.mjs";

/**
 * @typedef {object} Settings
 * @property {string} model The server's first where it is "".
 * @property {string} system
 * @property {string} tools Definitions, as JSON.
 * @property {boolean} showsProbabilities
 * @property {Record<string, string>} sampling As typed; what is empty is the model's default.
 */

/**
 * @typedef {object} SamplingField
 * @property {string} name In a request.
 * @property {number} min
 * @property {number} max
 * @property {number} step
 */

const MOST = Number.MAX_SAFE_INTEGER;
/** @type {readonly SamplingField[]} */
export const samplingFields = [
  { name: "temperature", min: 0, max: 2, step: 0.1 },
  { name: "top_p", min: 0.01, max: 1, step: 0.01 },
  { name: "top_k", min: 0, max: MOST, step: 1 },
  { name: "min_p", min: 0, max: 1, step: 0.01 },
  { name: "max_tokens", min: 1, max: MOST, step: 1 },
  { name: "seed", min: -MOST, max: MOST, step: 1 },
  { name: "repetition_penalty", min: 0.01, max: 10, step: 0.01 },
  { name: "frequency_penalty", min: -2, max: 2, step: 0.1 },
  { name: "presence_penalty", min: -2, max: 2, step: 0.1 },
];

const KEY = "kindling.settings";
/** Likeliest tokens that are asked for beside each token. */
const ALTERNATIVES = 5;

/** @returns {Settings} */
export const defaultSettings = () => ({ model: "", system: "", tools: "", showsProbabilities: false, sampling: {} });

/** The settings of the last conversation. */
export function loadSettings() {
  try {
    return readSettings(JSON.parse(kept(KEY) ?? "{}"));
  } catch {
    return defaultSettings(); // damaged
  }
}

/** @param {Settings} settings */
export const saveSettings = (settings) => keep(KEY, JSON.stringify(settings));

/** Settings of a file or an earlier version: what is not as it should be is the default. @param {unknown} json */
export function readSettings(json) {
  const settings = defaultSettings();
  if (typeof json !== "object" || json === null) return settings;
  const { model, system, tools, showsProbabilities, sampling } = /** @type {Record<string, unknown>} */ (json);
  if (typeof model === "string") settings.model = model;
  if (typeof system === "string") settings.system = system;
  if (typeof tools === "string") settings.tools = tools;
  if (typeof showsProbabilities === "boolean") settings.showsProbabilities = showsProbabilities;
  if (typeof sampling === "object" && sampling !== null)
    for (const [name, value] of Object.entries(sampling))
      if (typeof value === "string" && (name === "stop" || samplingFields.some((field) => field.name === name)))
        settings.sampling[name] = value;
  return settings;
}

/** What is wrong with what was typed for a number. @param {SamplingField} field @param {string} text */
export function isValid({ min, max, step }, text) {
  const value = Number(text);
  return text.trim() === "" || (value >= min && value <= max && (step < 1 || Number.isSafeInteger(value)));
}

/** @param {Settings} settings @returns {Record<string, unknown>} */
export function samplingOf({ sampling }) {
  const numbers = samplingFields
    .filter((field) => sampling[field.name]?.trim() && isValid(field, sampling[field.name]))
    .map(({ name }) => [name, Number(sampling[name])]);
  const stop = (sampling.stop ?? "").split("\n").filter((line) => line !== "");
  return { ...Object.fromEntries(numbers), ...(stop.length > 0 && { stop }) };
}

/** @param {Settings} settings @param {import("./conversation.mjs").Mode} mode */
export function probabilitiesOf({ showsProbabilities }, mode) {
  if (!showsProbabilities) return {};
  return mode === "chat" ? { logprobs: true, top_logprobs: ALTERNATIVES } : { logprobs: ALTERNATIVES };
}

/**
 * Definitions of tools as they were pasted: a list of them, or one; with "type": "function" around each, or bare.
 * @param {string} text
 * @returns {object[]} none for an empty text
 * @throws {Error} for what is no such JSON
 */
export function toolsOf(text) {
  if (text.trim() === "") return [];
  const json = JSON.parse(text);
  return (Array.isArray(json) ? json : [json]).map((tool) => {
    const definition = tool?.function ?? tool;
    if (typeof definition?.name !== "string") throw new Error("a definition without a name");
    return tool.type === undefined ? { type: "function", function: definition } : tool;
  });
}
