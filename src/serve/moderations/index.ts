/** OpenAI's API of moderation, by a judge that whoever serves brings: no model here is one. */
import { randomUUID } from "node:crypto";
import { RequestError } from "../errors.ts";
import { type App, jsonBody } from "../exchange.ts";
import { type Fields, invalid, isObject, isText, readFields, rule, text, textOrList } from "../fields.ts";
import { whileWanted } from "../request-life.ts";

/** What a judge says of a text. */
export interface Moderation {
  flagged: boolean;
  /** Whether the text is of a category, such as "harassment" or "violence/graphic". */
  categories: Readonly<Record<string, boolean>>;
  /** How sure that is, from 0 to 1, of each category. */
  scores: Readonly<Record<string, number>>;
}

/** What a judge says of texts. */
export interface ModerationAnswer {
  /** Who has judged. */
  model: string;
  /** One for each text, in their order. */
  results: readonly Moderation[];
}

/** Judges texts. */
export type Moderate = (
  inputs: readonly string[],
  options: {
    /** That the client asks for; the judge throws where it is another. */
    model: string | undefined;
    /** Aborted when the client has gone. */
    signal: AbortSignal;
  },
) => Promise<ModerationAnswer>;

const MAX_INPUTS = 2048;

/** Every field of POST /v1/moderations. */
export const moderationFields = {
  input: rule<string | unknown[]>(
    `a text, a list of at most ${MAX_INPUTS} texts, or a list of parts of one text`,
    (value) => isText(value) || (Array.isArray(value) && value.length > 0 && value.length <= MAX_INPUTS),
    textOrList,
  ),
  model: text,
} as const satisfies Fields;
const partFields = {
  type: rule<"text">('"text": pictures are not judged', (value) => value === "text"),
  text,
} as const satisfies Fields;

/** POST /v1/moderations. @param moderate undefined for a server without a judge */
export function moderationRoutes(app: App, moderate: Moderate | undefined): void {
  app.post("/v1/moderations", async (c) => {
    if (!moderate) {
      const message =
        "/v1/moderations needs a judge, and no model here is one. Give the server the option moderate, a function.";
      throw new RequestError({ status: 501, message, code: "no_moderation", headers: { "x-should-retry": "false" } });
    }
    const { input, model } = readFields(await jsonBody(c), moderationFields);
    if (input === undefined) throw invalid("input", moderationFields.input.expected, undefined);
    const inputs = inputsOf(input);
    const answer = await whileWanted({ client: c.req.raw.signal }, (signal) => moderate(inputs, { model, signal }));
    if (answer.results.length !== inputs.length) {
      const message = `moderate: expected ${inputs.length} results; received ${answer.results.length}`;
      throw new RequestError({ status: 500, message, code: "internal_error" });
    }
    const id = `modr-${randomUUID().replaceAll("-", "")}`;
    return c.json({ id, model: answer.model, results: answer.results.map(moderationObject) });
  });
}

/** Parts are one text together, texts are judged each by itself. */
function inputsOf(input: string | readonly unknown[]): string[] {
  if (isText(input)) return [input];
  if (input.every(isText)) return [...input];
  const parts = input.map((part, i) => {
    if (!isObject(part)) throw invalid(`input[${i}]`, "a part of a text, as all others", part);
    const { type, text: value } = readFields(part, partFields, `input[${i}].`);
    if (type === undefined) throw invalid(`input[${i}].type`, partFields.type.expected, undefined);
    if (value === undefined) throw invalid(`input[${i}].text`, text.expected, undefined);
    return value;
  });
  return [parts.join("\n")];
}

const moderationObject = ({ flagged, categories, scores }: Moderation) => ({
  flagged,
  categories,
  category_scores: scores,
  category_applied_input_types: Object.fromEntries(Object.keys(categories).map((name) => [name, ["text"]])),
});
