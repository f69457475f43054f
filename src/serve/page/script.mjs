// @ts-nocheck: the types of a page are not those of Node; page.test.ts runs this in a browser
/** What the page does. All that is said is kept here alone: the server gets the whole conversation each time. */

const $ = (id) => document.getElementById(id);
const isChat = document.body.dataset.mode === "chat";
/** Of a chat: role and content. */
let messages = [];
/** Of a text that is continued: its beginning, for another try. */
let beginning = "";
/** Aborts the answer under way. */
let running;

/** The objects of a stream of server-sent events. */
async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

/** What an error of the server means for the reader. */
function inWords({ message, code }) {
  if (code !== "context_length_exceeded") return message;
  return `${message} ${isChat ? "Clear the conversation, or edit the last message." : "Shorten the text, or ask for fewer tokens."}`;
}

/** Pieces of an answer. */
async function* piecesOf(path, body, signal) {
  const response = await fetch(path, {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  });
  if (!response.ok) throw new Error(inWords((await response.json()).error));
  for await (const event of eventsOf(response)) {
    if (event.error) throw new Error(inWords(event.error));
    yield event;
  }
}

const number = (id) => ($(id).value.trim() === "" ? undefined : Number($(id).value));

/** The fields of a request; those that are undefined are left out. */
function requestBody() {
  const sampling = {
    model: document.body.dataset.model,
    stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
    temperature: number("temperature"),
    seed: number("seed"),
  };
  if (!isChat)
    return { ...sampling, prompt: beginning, max_tokens: number("tokens") ?? Number($("tokens").placeholder) };
  const system = $("system").value.trim();
  return {
    ...sampling,
    max_tokens: number("tokens"),
    messages: [...(system ? [{ role: "system", content: system }] : []), ...messages],
  };
}

/** Shows an answer as it comes, in an element. Gives its text, however it ends. */
async function showAnswer(element) {
  running = new AbortController();
  update();
  say("…");
  const text = element.appendChild(document.createTextNode(""));
  let tokens = 0;
  let started;
  let isCut = false;
  const speed = () => {
    const seconds = (performance.now() - started) / 1000;
    return `${tokens} tokens${seconds > 0.2 ? `, ${(tokens / seconds).toFixed(0)} tokens/s` : ""}`;
  };
  try {
    for await (const { choices, usage } of piecesOf(
      isChat ? "/v1/chat/completions" : "/v1/completions",
      requestBody(),
      running.signal,
    )) {
      started ??= performance.now();
      const [choice] = choices;
      const piece = choice?.text ?? choice?.delta?.content ?? "";
      tokens = usage?.completion_tokens ?? tokens;
      isCut ||= choice?.finish_reason === "length";
      const isAtEnd = innerHeight + scrollY >= document.body.scrollHeight - 40;
      text.appendData(piece);
      if (isAtEnd) scrollTo(0, document.body.scrollHeight);
      say(speed());
    }
    say(speed() + (isCut ? " · cut there by the limit of tokens" : ""));
  } catch (error) {
    if (error.name === "AbortError") say(started ? `stopped · ${speed()}` : "stopped");
    else say(error.message, true);
  }
  running = undefined;
  update();
  return text.data;
}

function say(text, isBad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", isBad);
}

function bubble(role, text) {
  const element = document.createElement("div");
  element.className = role;
  element.textContent = text;
  $("output").append(element);
  return element;
}

/** Answers the messages there are. */
async function answer() {
  $("output").replaceChildren();
  for (const { role, content } of messages) bubble(role, content);
  const element = bubble("assistant", "");
  scrollTo(0, document.body.scrollHeight);
  const text = await showAnswer(element);
  if (text) messages.push({ role: "assistant", content: text });
  else element.remove();
  update();
}

/** Continues the beginning. */
async function goOn() {
  const written = document.createElement("b");
  bubble("text", beginning).append(written);
  $("output").replaceChildren($("output").lastChild);
  await showAnswer(written);
}

function submit() {
  if (running) return running.abort();
  const text = $("prompt").value;
  if (!isChat) {
    beginning = text;
    return goOn();
  }
  if (text.trim() === "") return;
  messages.push({ role: "user", content: text });
  $("prompt").value = "";
  return answer();
}

function retry() {
  if (!isChat) return goOn();
  if (messages.at(-1)?.role === "assistant") messages.pop();
  return answer();
}

function editLast() {
  const at = messages.findLastIndex(({ role }) => role === "user");
  $("prompt").value = messages[at].content;
  messages = messages.slice(0, at);
  $("output").replaceChildren(...[...$("output").children].slice(0, at));
  $("prompt").focus();
  update();
}

function clear() {
  messages = [];
  beginning = "";
  $("output").replaceChildren();
  $("prompt").value = "";
  $("prompt").focus();
  say("");
  update();
}

function update() {
  $("go").textContent = running ? "Stop" : isChat ? "Send" : "Continue";
  const isEmpty = isChat ? messages.length === 0 : $("output").children.length === 0;
  for (const id of ["retry", "edit", "clear"]) if ($(id)) $(id).disabled = Boolean(running) || isEmpty;
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("prompt").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing || event.shiftKey) return;
  if (!isChat && !event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  if (!running) submit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});
$("retry").addEventListener("click", retry);
$("edit")?.addEventListener("click", editLast);
$("clear").addEventListener("click", clear);
update();
