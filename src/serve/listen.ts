import { checkOptions, LONGEST_TIMER_MS, OptionError, unlessAborted } from "../base/index.ts";
import { readKeyFile } from "../keys/index.ts";
import { type AppOptions, appOf } from "./app.ts";
import { DataFolder } from "./data-folder.ts";
import { imageHostNames } from "./images/index.ts";
import { limitNames, type Servable, ServedModels } from "./models/index.ts";
import {
  AuditLog,
  type ConnectionOptions,
  connectionNames,
  HttpServer,
  type Operations,
  operationNames,
  type Reloadable,
  Reloader,
  splitOptions,
  type TlsOptions,
  tlsNames,
} from "./operations/index.ts";
import { requireWholeNumbers } from "./whole-numbers.ts";

export interface ServeOptions extends Omit<AppOptions, "data" | "keys" | "audit">, ConnectionOptions, TlsOptions {
  /** 0 takes any free port. @default 8080 */
  port?: number;
  /** Address to listen on. Others than this machine can reach the server only when it is changed. @default 127.0.0.1 */
  host?: string;
  /**
   * Where files and batches are kept, over restarts; it is made where it is missing. @default none, and their endpoints
   * answer 501
   */
  dataFolder?: string;
  /**
   * File of the API keys that `kindling keys` makes; the server reads it again when it changes. @default none: anybody
   * may use the server, unless there is an `apiKey`
   */
  keysFile?: string;
  /** File that gets a line of JSON for what whoever answers for the server asks after. @default none */
  auditFile?: string;
  /** How long requests under way may take to finish when the server closes, in milliseconds. @default 25000 */
  drainTimeoutMs?: number;
  /** Ends the server while its first model is being loaded; afterwards `close` does. @default nothing */
  signal?: AbortSignal;
  /** Gets a sentence when files were read again, or why not, and whether they were. @default standard error */
  onReload?: (message: string, isRead: boolean) => void;
}

/** A server that listens. */
export interface RunningServer {
  url: string;
  port: number;
  /**
   * Stops taking requests and resolves when those under way are done or cut off.
   * @param options.now cuts them off at once, also when the server is closing already @default false
   */
  close(options?: { now?: boolean }): Promise<void>;
  /** Reads keys, their limits and the files of TLS again, as far as there are some. Broken ones change nothing. */
  reload(): Promise<void>;
}

/** Less than the 30 s after which Kubernetes kills what it has asked to end. */
const DRAIN_TIMEOUT_MS = 25_000;

/**
 * Serves one or several models over HTTP with OpenAI's API, and a page to try the first that writes. It listens at once
 * and resolves when the first model is warm: loaded, and the graph compiled that prompts are read by, so that the
 * first request does not pay for that. Requests that come before wait. The others are loaded when they are asked
 * for.
 * @throws OptionError when the port is in use or out of range, or for options that cannot be
 * @throws DataError for files of keys or TLS that cannot be read, and when another server has the data folder
 * @throws what loading the first model throws; the signal's reason
 */
export async function serve(
  models: Servable | readonly Servable[],
  options: ServeOptions = {},
): Promise<RunningServer> {
  checkServeOptions(options);
  const { port = 8080, host = "127.0.0.1", allowedHosts = [], corsOrigins, keysFile, auditFile } = options;
  const { adapterFolder, dataFolder, moderate, signal } = options;
  const { drainTimeoutMs = DRAIN_TIMEOUT_MS, onReload = (message) => console.error(message) } = options;
  const auditLog = auditFile === undefined ? undefined : new AuditLog(auditFile);
  const audit: NonNullable<AppOptions["audit"]> = (event) => auditLog?.write(event);
  const [operationOptions] = splitOptions(options);
  const keys = keysFile === undefined ? undefined : await readKeyFile(keysFile);
  const modelOptions = [...limitNames, ...imageHostNames].map((name) => [name, options[name]]);
  const served = new ServedModels(models, Object.fromEntries(modelOptions));
  const data = dataFolder === undefined ? undefined : await DataFolder.open(dataFolder);
  served.onChange = (event, model) => audit({ event, model });
  const { app, operations } = appOf(served, {
    ...operationOptions,
    allowedHosts: [...allowedHosts, host],
    corsOrigins,
    adapterFolder,
    data,
    moderate,
    keys,
    audit,
  });
  const server = await HttpServer.listen({ ...options, fetch: app.fetch, host, port }).catch(async (cause) => {
    await data?.close();
    throw cause;
  });
  const hurry = new AbortController();
  let isStarted = false;
  const end = async () => {
    reloader.dispose();
    await data?.close();
    await server.close({
      drained: () => operations.drained(),
      farewell: () => served.stop(),
      hurry: hurry.signal,
      timeoutMs: drainTimeoutMs,
    });
    const closed = served.close();
    if (isStarted) await closed;
    else closed.catch(() => {}); // a load is not waited for
    audit({ event: "server_stopped" });
    auditLog?.flush();
  };
  const reloader = new Reloader({ parts: reloadable(server, operations, keysFile), audit, onReload });
  let ending: Promise<void> | undefined;
  const close = ({ now = false } = {}) => {
    if (now) hurry.abort();
    ending ??= end();
    return ending;
  };
  try {
    await (signal ? unlessAborted(served.start(), signal) : served.start());
    isStarted = true;
  } catch (cause) {
    await close({ now: true });
    throw cause;
  }
  audit({ event: "server_started", url: server.url });
  return { url: server.url, port: server.port, close, reload: () => reloader.reload() };
}

/** What is read again when it changes, or when it is asked for. */
function reloadable(server: HttpServer, { gate }: Operations, keysFile: string | undefined): Reloadable[] {
  const parts: Reloadable[] = [];
  if (keysFile !== undefined)
    parts.push({ files: [keysFile], load: async () => gate.setKeys(await readKeyFile(keysFile)), isWatched: true });
  if (server.tlsFiles.length > 0)
    parts.push({ files: server.tlsFiles, load: () => server.reloadTls(), isWatched: false });
  return parts;
}

function checkServeOptions(options: ServeOptions): void {
  const known = [
    ...["port", "host", "allowedHosts", "corsOrigins", "keysFile", "auditFile", "drainTimeoutMs", "onReload"],
    ...["adapterFolder", "dataFolder", "moderate", "signal"],
    ...operationNames.filter((name) => name !== "keys" && name !== "audit"),
    ...limitNames,
    ...imageHostNames,
    ...connectionNames,
    ...tlsNames,
  ];
  checkOptions("serve", options, known);
  const { port = 8080, drainTimeoutMs } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new OptionError({
      where: "serve",
      expected: "a port from 0 to 65535",
      received: String(port),
      fix: "choose another --port",
    });
  }
  requireWholeNumbers({ drainTimeoutMs }, { drainTimeoutMs: [0, LONGEST_TIMER_MS] });
}
