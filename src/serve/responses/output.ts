import type { AnswerPart } from "../event-stream.ts";
import type { LogprobShapes } from "../logprobs.ts";
import { type CallItem, freshId, type ReasoningItem } from "./items.ts";

/** A text of an answer. */
interface OutputText {
  type: "output_text";
  text: string;
  annotations: [];
  logprobs: object[];
}
interface OutputMessage {
  type: "message";
  id: string;
  role: "assistant";
  content: OutputText[];
  status: string;
}
/** What an answer is made of, in the order in which it is written. */
export type OutputItem = OutputMessage | CallItem | ReasoningItem;

/** An event of a stream, before it has its number. */
export interface ResponseEvent {
  type: string;
}
const event = (type: string, more: object): ResponseEvent => ({ type: `response.${type}`, ...more });

/**
 * Writes the items of an answer: a message, thoughts and calls, each of which begins, grows and ends before the next.
 * What is given out are the events that tell it.
 */
export class OutputWriter {
  readonly items: OutputItem[] = [];
  private readonly logprobs: LogprobShapes;
  /** Whether the last item is still being written. */
  private isOpen = false;

  constructor(logprobs: LogprobShapes) {
    this.logprobs = logprobs;
  }

  push({ event: part, logprobs }: AnswerPart): ResponseEvent[] {
    if (part.type === "content") return this.grown("message", part.text, logprobs && this.logprobs.list(logprobs));
    if (part.type === "reasoning") return this.grown("reasoning", part.text);
    if (part.type === "arguments") return this.grown("function_call", part.text);
    if (part.type === "call-end") return this.close(part.isComplete);
    const call = { id: freshId("fc"), call_id: part.id, name: part.name, arguments: "" };
    return [...this.close(), ...this.begin({ type: "function_call", ...call, status: "in_progress" })];
  }

  /** Ends the answer, which has at least a message without a text. @param isWhole whether it was not cut */
  end(isWhole: boolean): ResponseEvent[] {
    const begun = this.items.length === 0 ? this.begin(emptyItem("message")) : [];
    return [...begun, ...this.close(isWhole)];
  }

  private grown(type: OutputItem["type"], text: string, logprobs: object[] = []): ResponseEvent[] {
    if (text === "" && logprobs.length === 0) return [];
    const isNext = type !== "function_call" && !(this.isOpen && this.items.at(-1)?.type === type);
    const begun = isNext ? [...this.close(), ...this.begin(emptyItem(type))] : [];
    const item = this.items[this.items.length - 1];
    if (item.type === "function_call") {
      item.arguments += text;
      return [event("function_call_arguments.delta", { ...this.place(item), delta: text })];
    }
    const [part] = item.content;
    part.text += text;
    const delta = { ...this.place(item), content_index: 0, delta: text };
    if (part.type === "reasoning_text") return [...begun, event("reasoning_text.delta", delta)];
    part.logprobs.push(...logprobs);
    return [...begun, event("output_text.delta", { ...delta, logprobs })];
  }

  private begin(item: OutputItem): ResponseEvent[] {
    this.items.push(item);
    this.isOpen = true;
    const { item_id: _, ...place } = this.place(item);
    if (item.type === "function_call") return [event("output_item.added", { ...place, item: { ...item } })];
    const [part] = item.content;
    return [
      event("output_item.added", { ...place, item: { ...item, content: [] } }),
      event("content_part.added", { ...this.place(item), content_index: 0, part: structuredClone(part) }),
    ];
  }

  private close(isWhole = true): ResponseEvent[] {
    const item = this.items.at(-1);
    if (!this.isOpen || !item) return [];
    this.isOpen = false;
    item.status = isWhole ? "completed" : "incomplete";
    const place = this.place(item);
    const done = event("output_item.done", { output_index: place.output_index, item });
    if (item.type === "function_call") {
      const { name, arguments: json } = item;
      return [event("function_call_arguments.done", { ...place, name, arguments: json }), done];
    }
    const [part] = item.content;
    const whole = { ...place, content_index: 0 };
    const text =
      part.type === "reasoning_text"
        ? event("reasoning_text.done", { ...whole, text: part.text })
        : event("output_text.done", { ...whole, text: part.text, logprobs: part.logprobs });
    return [text, event("content_part.done", { ...whole, part }), done];
  }

  /** Where the item that is being written stands. */
  private place({ id }: OutputItem) {
    return { item_id: id, output_index: this.items.length - 1 };
  }
}

/** A message, or thoughts. */
function emptyItem(type: OutputItem["type"]): OutputItem {
  const status = "in_progress";
  if (type === "reasoning")
    return { type, id: freshId("rs"), summary: [], content: [{ type: "reasoning_text", text: "" }], status };
  const content: OutputText[] = [{ type: "output_text", text: "", annotations: [], logprobs: [] }];
  return { type: "message", id: freshId("msg"), role: "assistant", content, status };
}
