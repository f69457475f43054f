import { detectReasoning, detectToolFormat } from "../generate/index.ts";
import { RequestError } from "./errors.ts";
import type { Service } from "./service.ts";

/** The names under which templates ask whether to think; those of fields of messages are others. */
const SWITCH = /(?<![.\w'"])(?:enable_)?thinking\b/;

/** Whether a model marks thoughts, as far as its template and its tokens show. */
export function thinks({ chatTemplate, model }: Service): boolean {
  const { specialTexts } = model.tokenizer;
  return (
    detectReasoning(chatTemplate, specialTexts) !== undefined ||
    detectToolFormat(chatTemplate, specialTexts)?.name === "harmony"
  );
}

/**
 * Variables of the chat template that turn thoughts on or off.
 * @param param the field that asks for it
 * @throws RequestError where the model does not think, or always does
 */
export function thoughtVariables(service: Service, isOn: boolean, param: string): Readonly<Record<string, boolean>> {
  if (!thinks(service)) {
    if (!isOn) return {};
    throw refused(param, `Unsupported parameter: '${param}': this model has no thoughts. Leave it out.`);
  }
  const isSwitched = SWITCH.test(service.chatTemplate ?? "");
  if (!isOn && !isSwitched) {
    const message = `Unsupported parameter: '${param}': the template of this model cannot turn its thoughts off. Leave it out.`;
    throw refused(param, message);
  }
  return isSwitched ? { enable_thinking: isOn, thinking: isOn } : {};
}

/**
 * Variables of the chat template that say how hard to think.
 * @param param the field that asks for it
 * @throws RequestError where the template has no such levels
 */
export function effortVariables(
  service: Service,
  effort: string,
  param: string,
): Readonly<Record<string, boolean | string>> {
  if (!service.chatTemplate?.includes("reasoning_effort")) {
    const message = `Unsupported parameter: '${param}': the template of this model has no levels of thinking. Leave it out.`;
    throw refused(param, message);
  }
  return { ...thoughtVariables(service, true, param), reasoning_effort: effort };
}

const refused = (param: string, message: string) =>
  new RequestError({ status: 400, message, param, code: "unsupported_parameter" });
