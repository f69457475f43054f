import { countFields, messagesFields } from "../anthropic/requests.ts";
import { batchFields } from "../batches/index.ts";
import { type Fields, type JsonSchema, oneOf, text, wholeNumber } from "../fields.ts";
import { fileFields } from "../files/index.ts";
import { moderationFields } from "../moderations/index.ts";
import {
  embeddingsFields,
  embedFields,
  generateFields,
  chatFields as ollamaChatFields,
  showFields,
} from "../ollama/index.ts";
import { chatFields, completionFields } from "../requests.ts";
import { inputTokensFields, responseFields } from "../responses/requests.ts";
import {
  classifyFields,
  embeddingFields,
  rerankFields,
  scoreFields,
  transcriptionFields,
  translationFields,
} from "../tasks/index.ts";
import { detokenizeFields, tokenizeFields } from "../tokenize.ts";

/** An endpoint, as the document tells of it. */
export interface Operation {
  method: "get" | "post" | "delete";
  /** Names of parts in braces. */
  path: string;
  summary: string;
  /** The table by which its requests are read. @default it has no body */
  body?: Fields;
  /** Fields that have to be there. @default none */
  required?: readonly string[];
  /** @default application/json */
  bodyType?: "multipart/form-data";
  /** @default none */
  query?: Fields;
  /** What an answer is. @default an object of JSON */
  answer?: { type: string; schema?: JsonSchema };
  /** How it comes where `stream` is true. @default not at all */
  stream?: "text/event-stream" | "application/x-ndjson";
}

/** Endpoints that belong together. */
interface Group {
  name: string;
  description: string;
  operations: readonly Operation[];
}

const page = { limit: wholeNumber(1), after: text, order: oneOf(["asc", "desc"]) };
const html = { type: "text/html", schema: { type: "string" } };
const sse = "text/event-stream";

const rerank = (path: string): Operation => ({
  method: "post",
  path,
  summary: "Rank documents by what they say of a query",
  body: rerankFields,
  required: ["query", "documents"],
});
const score = (path: string): Operation => ({
  method: "post",
  path,
  summary: "How well texts go together",
  body: scoreFields,
  required: ["text_1", "text_2"],
});

/** All endpoints. A test holds it against the routes of the app. */
export const groups: readonly Group[] = [
  {
    name: "Texts",
    description: "OpenAI's API of chats and completions.",
    operations: [
      {
        method: "post",
        path: "/v1/chat/completions",
        summary: "Answer a chat",
        body: chatFields,
        required: ["messages"],
        stream: sse,
      },
      {
        method: "post",
        path: "/v1/completions",
        summary: "Continue a text, or fill in where it has a gap",
        body: completionFields,
        required: ["prompt"],
        stream: sse,
      },
      { method: "get", path: "/v1/models", summary: "List the models" },
      { method: "get", path: "/v1/models/{id}", summary: "Look at a model" },
      {
        method: "post",
        path: "/v1/moderations",
        summary: "Judge texts",
        body: moderationFields,
        required: ["input"],
      },
    ],
  },
  {
    name: "Embeddings, rankings, classes and speech",
    description: "Models that do not write, by the APIs of OpenAI, Cohere, Jina and vLLM.",
    operations: [
      {
        method: "post",
        path: "/v1/embeddings",
        summary: "Texts as vectors",
        body: embeddingFields,
        required: ["input"],
      },
      rerank("/v1/rerank"),
      rerank("/v2/rerank"),
      rerank("/rerank"),
      score("/v1/score"),
      score("/score"),
      { method: "post", path: "/classify", summary: "Classes of texts", body: classifyFields, required: ["input"] },
      {
        method: "post",
        path: "/v1/audio/transcriptions",
        summary: "What is said, in its language",
        body: transcriptionFields,
        required: ["file"],
        bodyType: "multipart/form-data",
      },
      {
        method: "post",
        path: "/v1/audio/translations",
        summary: "What is said, in English",
        body: translationFields,
        required: ["file"],
        bodyType: "multipart/form-data",
      },
    ],
  },
  {
    name: "Responses",
    description: "OpenAI's newer API of answers, which are kept and can be gone on with.",
    operations: [
      { method: "post", path: "/v1/responses", summary: "Answer", body: responseFields, stream: sse },
      {
        method: "post",
        path: "/v1/responses/input_tokens",
        summary: "Count the tokens of a request",
        body: inputTokensFields,
      },
      { method: "get", path: "/v1/responses/{id}", summary: "Look at a response that is kept" },
      { method: "get", path: "/v1/responses/{id}/input_items", summary: "List what it answers", query: page },
      { method: "post", path: "/v1/responses/{id}/cancel", summary: "End one that is written in the background" },
      { method: "delete", path: "/v1/responses/{id}", summary: "Forget a response" },
    ],
  },
  {
    name: "Files and batches",
    description: "OpenAI's API of requests that are answered while nobody waits. The server needs a folder: `--data`.",
    operations: [
      {
        method: "post",
        path: "/v1/files",
        summary: "Upload a file of requests, one in each line",
        body: fileFields,
        required: ["file", "purpose"],
        bodyType: "multipart/form-data",
      },
      { method: "get", path: "/v1/files", summary: "List files", query: { ...page, purpose: text } },
      { method: "get", path: "/v1/files/{id}", summary: "Look at a file" },
      {
        method: "get",
        path: "/v1/files/{id}/content",
        summary: "Read a file",
        answer: { type: "application/octet-stream" },
      },
      { method: "delete", path: "/v1/files/{id}", summary: "Delete a file" },
      {
        method: "post",
        path: "/v1/batches",
        summary: "Answer the requests of a file",
        body: batchFields,
        required: ["input_file_id", "endpoint", "completion_window"],
      },
      { method: "get", path: "/v1/batches", summary: "List batches", query: page },
      { method: "get", path: "/v1/batches/{id}", summary: "Look at a batch" },
      { method: "post", path: "/v1/batches/{id}/cancel", summary: "End a batch with what it has" },
    ],
  },
  {
    name: "Anthropic",
    description: "Anthropic's API of messages.",
    operations: [
      {
        method: "post",
        path: "/v1/messages",
        summary: "Answer messages",
        body: messagesFields,
        required: ["messages", "max_tokens"],
        stream: sse,
      },
      {
        method: "post",
        path: "/v1/messages/count_tokens",
        summary: "Count the tokens of messages",
        body: countFields,
        required: ["messages"],
      },
    ],
  },
  {
    name: "Ollama",
    description: "Ollama's API. Answers are streamed unless `stream` is false.",
    operations: [
      {
        method: "post",
        path: "/api/chat",
        summary: "Answer a chat",
        body: ollamaChatFields,
        required: ["model"],
        stream: "application/x-ndjson",
      },
      {
        method: "post",
        path: "/api/generate",
        summary: "Answer a prompt",
        body: generateFields,
        required: ["model"],
        stream: "application/x-ndjson",
      },
      {
        method: "post",
        path: "/api/embed",
        summary: "Texts as vectors",
        body: embedFields,
        required: ["model", "input"],
      },
      {
        method: "post",
        path: "/api/embeddings",
        summary: "A text as a vector; the older endpoint",
        body: embeddingsFields,
        required: ["model", "prompt"],
      },
      { method: "get", path: "/api/tags", summary: "List the models" },
      { method: "post", path: "/api/show", summary: "Look at a model", body: showFields },
      { method: "get", path: "/api/ps", summary: "List the models that are loaded" },
      { method: "get", path: "/api/version", summary: "The version of the API" },
    ],
  },
  {
    name: "Server",
    description: "vLLM's endpoints of tokens, and those about the server itself.",
    operations: [
      { method: "post", path: "/tokenize", summary: "Tokens of a text, or of messages", body: tokenizeFields },
      {
        method: "post",
        path: "/detokenize",
        summary: "The text of tokens",
        body: detokenizeFields,
        required: ["tokens"],
      },
      { method: "get", path: "/health", summary: "Whether the server answers" },
      {
        method: "get",
        path: "/metrics",
        summary: "Numbers for Prometheus",
        answer: { type: "text/plain", schema: { type: "string" } },
      },
      { method: "get", path: "/openapi.json", summary: "This document" },
      { method: "get", path: "/docs", summary: "This document as a page", answer: html },
      { method: "get", path: "/", summary: "A page to try the model", answer: html },
    ],
  },
];
