/** What an answer of a chat model is made of, in the order in which it is written. */
export type ChatEvent =
  /** Text for the user. */
  | { type: "content"; text: string }
  /** Thoughts before the answer. */
  | { type: "reasoning"; text: string }
  | { type: "call-begin"; index: number; id: string; name: string }
  /** A piece of the JSON of a call's arguments: all pieces are the whole of it. */
  | { type: "arguments"; index: number; text: string }
  /** isComplete: whether the arguments are whole; those of a call that was cut or is malformed are not. */
  | { type: "call-end"; index: number; isComplete: boolean };

/** A call of a tool, in a whole answer. */
export interface ToolCall {
  id: string;
  name: string;
  /** JSON. */
  arguments: string;
  /** Whether the arguments are whole. */
  isComplete: boolean;
}

/** Two events as one, or undefined where they are of different things. */
function joined(before: ChatEvent | undefined, event: ChatEvent): ChatEvent | undefined {
  if (before === undefined || before.type !== event.type || !("text" in before) || !("text" in event)) return undefined;
  if (before.type === "arguments" && event.type === "arguments" && before.index !== event.index) return undefined;
  return { ...before, text: before.text + event.text };
}

/** Adds an event, joined with the last one where both are text of the same thing; an empty text adds nothing. */
export function addEvent(events: ChatEvent[], event: ChatEvent): void {
  if ("text" in event && event.text === "") return;
  const whole = joined(events[events.length - 1], event);
  if (whole) events[events.length - 1] = whole;
  else events.push(event);
}

/** A whole answer, put together from its events. */
export class ChatAnswer {
  content = "";
  reasoning = "";
  readonly calls: ToolCall[] = [];

  /** Takes the next event. */
  add(event: ChatEvent): void {
    if (event.type === "content") this.content += event.text;
    else if (event.type === "reasoning") this.reasoning += event.text;
    else if (event.type === "call-begin")
      this.calls[event.index] = { id: event.id, name: event.name, arguments: "", isComplete: false };
    else if (event.type === "arguments") this.calls[event.index].arguments += event.text;
    else this.calls[event.index].isComplete = event.isComplete;
  }
}
