import { isObject, isText, rule } from "./fields.ts";

/** OpenAI's limits. */
const [MAX_PAIRS, MAX_KEY, MAX_VALUE] = [16, 64, 512];
/** Names and values that a client keeps with an object. */
export const metadata = rule<Readonly<Record<string, string>>>(
  `an object of at most ${MAX_PAIRS} texts of at most ${MAX_VALUE} characters, under names of at most ${MAX_KEY}`,
  (value) =>
    isObject(value) &&
    Object.keys(value).length <= MAX_PAIRS &&
    Object.entries(value).every(([key, each]) => key.length <= MAX_KEY && isText(each) && each.length <= MAX_VALUE),
  {
    type: "object",
    maxProperties: MAX_PAIRS,
    propertyNames: { maxLength: MAX_KEY },
    additionalProperties: { type: "string", maxLength: MAX_VALUE },
  },
);
