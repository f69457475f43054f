import { isPage } from "#system";
import { DataError, joined, RuntimeError } from "../base/index.ts";
import { endpointOf, type HubOptions, timeoutOf, tokenOf } from "./settings.ts";

/** A file of a repository, as a hub describes it. */
export interface RemoteFile {
  path: string;
  bytes: number;
  /** Hash of the content: SHA-256, or of small files git's SHA-1 of "blob <size>\0" and the content. */
  hash: string;
}

const RETRIES = 4;
const RETRY_STATUS = new Set([408, 429, 500, 502, 503, 504]);
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** What a lack of network looks like: asking again soon changes nothing. */
const NO_NETWORK = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);
/** How often is asked again where there is no network, and where a server is silent. */
const FEW_RETRIES = 1;

/** Talks to a hub: the address, the token, and its errors as ours. */
export class HubClient {
  readonly endpoint: string;
  private readonly headers: Readonly<Record<string, string>>;
  private readonly signal?: AbortSignal;
  private readonly id: string;
  private readonly timeoutMs: number;

  private constructor(
    id: string,
    endpoint: string,
    headers: Record<string, string>,
    { signal, timeoutMs = timeoutOf() }: HubOptions,
  ) {
    this.id = id;
    this.timeoutMs = timeoutMs;
    this.endpoint = endpoint;
    this.headers = headers;
    this.signal = signal;
  }

  static async open(id: string, options: HubOptions): Promise<HubClient> {
    const token = await tokenOf(options);
    const headers: Record<string, string> = {
      ...(!isPage && { "user-agent": "kindling" }),
      ...(token && { authorization: `Bearer ${token}` }),
    };
    if (token && options.source === "modelscope") headers.cookie = `m_session_id=${token}`;
    return new HubClient(id, endpointOf(options), headers, options);
  }

  /**
   * Asks, and asks again when the network or the server fails for a moment.
   * @param init `accepted`: statuses of errors that are answers too
   * @throws DataError for what is not there or not allowed, RuntimeError when the hub cannot be reached
   */
  async request(
    url: string,
    { accepted = [], ...init }: RequestInit & { accepted?: readonly number[] } = {},
  ): Promise<Response> {
    for (let attempt = 0; ; attempt++) {
      let wait = FIRST_WAIT_MS * 2 ** attempt;
      try {
        const response = await this.answered(url, init);
        if (response.status < 400 || accepted.includes(response.status)) return response;
        if (!RETRY_STATUS.has(response.status) || attempt >= RETRIES) throw await this.errorOf(url, response);
        wait = Math.max(wait, 1000 * Number(response.headers.get("retry-after") ?? 0) || 0);
        await response.body?.cancel();
      } catch (cause) {
        this.signal?.throwIfAborted();
        if (cause instanceof DataError) throw cause;
        const code = ((cause as Error).cause as { code?: string } | undefined)?.code ?? "";
        const isDown = cause instanceof SilentServer || NO_NETWORK.has(code) || isPage; // a page is not told why
        if (attempt >= (isDown ? FEW_RETRIES : RETRIES)) throw this.unreachable(url, cause);
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(wait, LONGEST_WAIT_MS)));
    }
  }

  /** A response once its head is there. @throws SilentServer where that takes too long */
  private async answered(url: string, init: RequestInit): Promise<Response> {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(new SilentServer(this.timeoutMs)), this.timeoutMs);
    try {
      const signal = this.signal ? AbortSignal.any([this.signal, silence.signal]) : silence.signal;
      return await fetch(url, { ...init, headers: { ...this.headers, ...init.headers }, signal });
    } finally {
      clearTimeout(timer);
    }
  }

  /** The bytes of a response as they come. @throws SilentServer where none come for too long */
  async *chunks(response: Response): AsyncGenerator<Uint8Array, void, void> {
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    try {
      for (;;) {
        let timer: ReturnType<typeof setTimeout> | undefined;
        const silence = new Promise<never>((_, reject) => {
          timer = setTimeout(() => reject(new SilentServer(this.timeoutMs)), this.timeoutMs);
        });
        const { done, value } = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer));
        if (done) return;
        yield value;
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  }

  async json(url: string): Promise<unknown> {
    return this.jsonOf(url, await this.request(url));
  }

  /** @throws DataError for what is no JSON */
  async jsonOf(url: string, response: Response): Promise<unknown> {
    const pieces: Uint8Array[] = [];
    try {
      for await (const chunk of this.chunks(response)) pieces.push(chunk);
    } catch (cause) {
      this.signal?.throwIfAborted();
      throw this.unreachable(url, cause);
    }
    return jsonIn(url, new TextDecoder().decode(joined(Uint8Array, pieces)));
  }

  /** The error for a server that cannot be reached, or says nothing more. */
  unreachable(url: string, cause: unknown): RuntimeError {
    const reason = (cause as { cause?: Error }).cause?.message ?? (cause as Error).message;
    return new RuntimeError({
      where: this.id,
      expected: `an answer from ${new URL(url).host}`,
      received: reason,
      fix: "check the network; HF_ENDPOINT names a mirror, HF_HUB_OFFLINE=1 asks nobody",
      cause,
    });
  }

  private async errorOf(url: string, response: Response): Promise<DataError> {
    const code = response.headers.get("x-error-code") ?? "";
    const body = await response.text().catch(() => "");
    const message = response.headers.get("x-error-message") ?? textOf(body) ?? response.statusText;
    const known: Readonly<Record<string, readonly [string, string]>> = {
      RevisionNotFound: ["a revision that exists", "check --revision"],
      EntryNotFound: ["a file of the repository", "check its name"],
      GatedRepo: ["access to a gated model", "accept its terms on the model's page, and give a token: HF_TOKEN"],
      RepoNotFound: [
        "a repository that exists, or that the token may see",
        "check the id; give a token for a private one: HF_TOKEN",
      ],
    };
    const [expected, fix] =
      known[code] ??
      (response.status === 401 || response.status === 404
        ? known.RepoNotFound
        : ["an answer without error", "try again later"]);
    return new DataError({
      where: `${this.id} (${new URL(url).host})`,
      expected,
      received: `${response.status} ${message}`.slice(0, 200),
      fix,
    });
  }
}

/** The message of an error's body. */
function textOf(body: string): string | undefined {
  try {
    const { error, Message, message } = JSON.parse(body) as Record<string, unknown>;
    const detail = error ?? Message ?? message;
    return typeof detail === "string" ? detail : undefined;
  } catch {
    return undefined;
  }
}

function jsonIn(where: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const fix = "check the endpoint: it does not speak the hub's protocol";
    throw new DataError({ where, expected: "JSON", received: (cause as Error).message, fix, cause });
  }
}

/** A server that is there and says nothing. */
class SilentServer extends Error {
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
  }
}
