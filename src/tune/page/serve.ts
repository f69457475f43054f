import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { known, numberRules, OptionError } from "../../base/index.ts";
import { readStudy } from "../store.ts";
import { CONTENT_SECURITY_POLICY, studyContent, studyPage } from "./document.ts";

/** Where the page of a study is served. */
export interface ServeStudyOptions {
  /** 0 takes any free port. @default 8090 */
  port?: number;
}

/** A server of a study's page. */
export interface StudyServer {
  url: string;
  /** Ends the server. */
  close(): Promise<void>;
}

const HOST = "127.0.0.1";
const headers = {
  "cache-control": "no-store",
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/**
 * Serves the page of a study to this machine alone; while the study runs, it shows what is new every two seconds.
 * @throws DataError when there is no study; OptionError for a port that cannot be had
 */
export async function serveStudy(folder: string, options: ServeStudyOptions = {}): Promise<StudyServer> {
  known("serveStudy", options, { port: true });
  const { port = 8090 } = options;
  if (!numberRules.wholeNumber.isFine(port) || port > 65_535)
    throw refusal(String(port), "choose a number from 0 to 65535");
  await readStudy(folder);
  const server = createAdaptorServer({ fetch: studyApp(folder).fetch, hostname: HOST, createServer }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once("error", ({ code }: NodeJS.ErrnoException) =>
      reject(refusal(`${port}, ${code === "EADDRINUSE" ? "which another program uses" : code}`, "choose another port")),
    );
    server.listen(port, HOST, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://${HOST}:${bound}`, close };
}

const refusal = (received: string, fix: string) =>
  new OptionError({ where: "serveStudy", expected: "a free port", received, fix });

/** Other names of this machine could be a stranger's page that asks in its visitor's name. */
const isLocal = (host: string | undefined) => /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host ?? "");

function studyApp(folder: string): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    if (!isLocal(context.req.header("host"))) return context.text("this page is for this machine\n", 403, headers);
    await next();
  });
  app.get("/", async (context) => context.html(studyPage(await readStudy(folder), { isLive: true }), 200, headers));
  app.get("/content", async (context) => context.html(studyContent(await readStudy(folder)), 200, headers));
  app.get("/study.json", async (context) => context.json(await readStudy(folder), 200, headers));
  app.onError((error, context) => context.text(`${error.message}\n`, 500, headers));
  return app;
}
