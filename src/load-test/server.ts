import { DataError, nearest, OptionError, RuntimeError } from "../base/index.ts";
import type { Clock, Transport } from "../http/index.ts";
import { type Answer, type AnswerTimes, ask, type Failure, failureOf, refusalOf, textOf } from "./answer.ts";
import type { LoadSettings } from "./options.ts";
import { requestOf, type ServerFacts, userMessage } from "./request.ts";
import { words } from "./words.ts";

/** What requests are sent with. */
export interface Sending {
  transport: Transport;
  clock: Clock;
  headers: Readonly<Record<string, string>>;
}

/**
 * Asks a server for its models, and sends it first requests, so that what would make all fail is an error at once.
 * @throws RuntimeError where no server answers, or it refuses; OptionError for a model that is not there
 */
export async function inspectServer(
  settings: LoadSettings,
  sending: Sending,
  signal: AbortSignal,
): Promise<ServerFacts> {
  const { endpoint, dataset } = settings;
  const { id: model, contextLength } = await pickModel(settings, sending, signal);
  const send = async (prompt: object, maxTokens: number, countsPieces: boolean): Promise<Answer> => {
    const request = requestOf(settings, { model, countsPieces }, prompt, maxTokens);
    const answer = await ask({ ...request, headers: sending.headers }, signal, sending);
    signal.throwIfAborted();
    return answer;
  };
  const isRandom = dataset === "random";
  const first = endpoint === "chat" ? wordsMessage(FEW_WORDS) : { prompt: isRandom ? [0] : "Hello" };
  let answer = await send(first, 1, true);
  // OpenAI refuses fields that it does not know
  const countsPieces = !isRefusal(answer);
  if (!countsPieces) answer = await send(first, 1, false);
  const { inputTokens } = requireAnswer(settings, answer);
  const facts = { model, contextLength, countsPieces };
  if (endpoint === "completions") {
    const takes = async (id: number) => {
      const reply = await send({ prompt: [id] }, 1, countsPieces);
      return !isRefusal(reply) && requireAnswer(settings, reply) !== undefined;
    };
    const vocabSize = isRandom ? (settings.vocabSize ?? (await findVocabSize(takes))) : undefined;
    return { ...facts, vocabSize, wordTokens: { fixed: 0, perWord: 1 } };
  }
  const more = isRandom
    ? requireAnswer(settings, await send(wordsMessage(MORE_WORDS), 1, countsPieces)).inputTokens
    : 0;
  return { ...facts, vocabSize: undefined, wordTokens: wordTokensOf(inputTokens, more) };
}

const FEW_WORDS = 2;
const MORE_WORDS = 6;
const wordsMessage = (count: number) => userMessage(words.slice(0, count).join(" "));

/** All words have one length, and so two prompts tell what each takes. */
function wordTokensOf(few: number | undefined, more: number | undefined): ServerFacts["wordTokens"] {
  const perWord = few && more ? (more - few) / (MORE_WORDS - FEW_WORDS) : 0;
  return few && perWord > 0 ? { fixed: few - FEW_WORDS * perWord, perWord } : { fixed: 0, perWord: 1 };
}

const isRefusal = (answer: Answer): boolean =>
  answer.outcome === "failed" && (answer.failure.status === 400 || answer.failure.status === 422);

/** Far above the largest vocabularies, of 262,144. */
const MOST_IDS = 2 ** 22;

/** The least id that is refused, by doubling and halving. @throws OptionError where none is */
async function findVocabSize(takes: (id: number) => Promise<boolean>): Promise<number> {
  let [taken, refused] = [0, 64];
  while (await takes(refused)) {
    [taken, refused] = [refused, refused * 2];
    if (refused <= MOST_IDS) continue;
    throw new OptionError({
      where: "load test",
      expected: "a server that refuses token ids outside its vocabulary, so that its size can be seen",
      received: `one that takes the id ${taken}`,
      fix: "give the vocabSize",
    });
  }
  while (refused - taken > 1) {
    const middle = (taken + refused) >> 1;
    if (await takes(middle)) taken = middle;
    else refused = middle;
  }
  return refused;
}

/** @throws RuntimeError for a request that failed */
export function requireAnswer({ base }: LoadSettings, answer: Answer): AnswerTimes {
  if (answer.outcome === "successful") return answer;
  const failure = answer.outcome === "failed" ? answer.failure : { code: "unfinished", message: "no whole answer" };
  throw refusalError(base, "an answer to a first request", failure);
}

function refusalError(base: URL, expected: string, { status, code, message }: Failure): RuntimeError {
  const isAbsent = status === undefined;
  const isLocked = status === 401 || status === 403;
  return new RuntimeError({
    where: shownUrl(base),
    expected: isAbsent ? "a server" : expected,
    received: [status, code, message].filter((part) => part !== undefined && part !== "").join(" "),
    fix: isAbsent
      ? "start one, as with kindling serve <model>, or give its url"
      : isLocked
        ? "give the key that the server expects: apiKey, or --api-key of kindling bench serve"
        : "correct what the server says",
  });
}

/** The address, without what may be secret in it. */
export const shownUrl = (base: URL): string => base.origin + base.pathname.replace(/\/$/, "");

interface ListedModel {
  id: string;
  contextLength: number | undefined;
}

async function pickModel(settings: LoadSettings, sending: Sending, signal: AbortSignal): Promise<ListedModel> {
  const { model } = settings;
  const models = await listModels(settings, sending, signal);
  const refuse = (expected: string, received: string, fix: string) =>
    new OptionError({ where: shownUrl(settings.base), expected, received, fix });
  if (models === undefined || models.length === 0) {
    if (model !== undefined) return { id: model, contextLength: undefined };
    throw refuse("a list of models at /v1/models", "none", "name the model");
  }
  const ids = models.map(({ id }) => id);
  if (model === undefined && models.length === 1) return models[0];
  const chosen = models.find(({ id }) => id === model);
  if (chosen) return chosen;
  const list = ids.slice(0, 20).join(", ") + (ids.length > 20 ? " ..." : "");
  if (model === undefined) throw refuse(`one model, or its name`, list, `name the model, as ${ids[0]}`);
  const near = nearest(model, ids);
  throw refuse(`a model of ${list}`, model, near ? `did you mean ${near}?` : "choose a model of the list");
}

/** Characters of a list of models. */
const MOST_LIST = 8 << 20;

/** Undefined where the server has no list. */
async function listModels(
  { base }: LoadSettings,
  { transport, headers }: Sending,
  signal: AbortSignal,
): Promise<ListedModel[] | undefined> {
  const answer = await transport({ method: "GET", path: "/v1/models", headers, signal }).catch((cause) => {
    signal.throwIfAborted();
    throw refusalError(base, "", failureOf(cause));
  });
  if (answer.status === 404 || answer.status === 405 || answer.status === 501) {
    await textOf(answer.body);
    return undefined;
  }
  if (answer.status !== 200) throw refusalError(base, "the list of models", await refusalOf(answer));
  const text = await textOf(answer.body, MOST_LIST);
  try {
    const { data } = JSON.parse(text) as { data: { id: string; max_model_len?: number }[] };
    return data.map(({ id, max_model_len: length }) => ({
      id: String(id),
      contextLength: Number.isSafeInteger(length) ? length : undefined,
    }));
  } catch (cause) {
    throw new DataError({
      where: `${shownUrl(base)}/v1/models`,
      expected: "a list of models as OpenAI's",
      received: text.slice(0, 60),
      fix: "check that the address is that of a model server",
      cause,
    });
  }
}
