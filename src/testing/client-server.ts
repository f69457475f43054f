/** A server for other people's clients. */
import { fileURLToPath } from "node:url";
import { SentenceEncoder } from "../pipelines/index.ts";
import { type RunningServer, serve } from "../serve/index.ts";
import { type ScriptedGenerator, scriptedModel, tinyServedModel } from "./served-model.ts";

/** Names Hermes' form of calls, and thoughts, so that both are looked for. */
const chatTemplate =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}{# <think></think> #}";
const encoderFolder = fileURLToPath(new URL("../../golden/pipelines/models/sentence-bert", import.meta.url));

/** What `clientServer` has begun. */
export interface ClientServer {
  server: RunningServer;
  /** Of OpenAI's API. */
  baseURL: string;
  /** Of the model "scripted". */
  generator: ScriptedGenerator;
  /** The vectors that the model "bert" gives. */
  vectorsOf: (texts: readonly string[]) => Promise<number[][]>;
}

/** Serves "scripted", which writes what the test says, "random", of random weights, and "bert", on a free port. */
export async function clientServer(): Promise<ClientServer> {
  const scripted = scriptedModel(chatTemplate);
  const random = { ...tinyServedModel({ contextLength: 2048, chatTemplate }), id: "random" };
  const encoder = await SentenceEncoder.open(encoderFolder);
  const server = await serve([scripted, random, { id: "bert", kind: "embedding", model: encoder }], { port: 0 });
  const vectorsOf = async (texts: readonly string[]) => (await encoder.encode([...texts])).map((row) => [...row]);
  return { server, baseURL: `${server.url}/v1`, generator: scripted.generator, vectorsOf };
}
