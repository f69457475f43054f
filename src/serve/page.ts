/** The page at "/": one types a beginning and watches the model continue. One file, no other requests. */
export function page(modelId: string): string {
  const name = modelId.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${name} · Kindling</title>
<style>
  :root { color-scheme: light dark; --ink: #2b2118; --paper: #fbf7f0; --line: #d9cbb6; --flame: #c2410c; --new: #9a3412; }
  @media (prefers-color-scheme: dark) { :root { --ink: #efe6da; --paper: #1c1712; --line: #4a3d2f; --flame: #fb923c; --new: #fdba74; } }
  * { box-sizing: border-box; }
  body { margin: 0 auto; max-width: 46rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink); font: 17px/1.6 Georgia, "Noto Serif", "Noto Serif CJK SC", serif; }
  header { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem; flex-wrap: wrap; margin-bottom: 1rem; }
  h1 { font-size: 1.3rem; margin: 0; } h1 span { color: var(--flame); }
  header small, label, #status { font: 14px/1.4 system-ui, sans-serif; }
  textarea, #output { width: 100%; border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem; background: transparent; color: inherit; font: inherit; }
  textarea { min-height: 5.5rem; resize: vertical; } textarea:focus-visible, button:focus-visible, input:focus-visible { outline: 2px solid var(--flame); outline-offset: 2px; }
  form > div { display: flex; flex-wrap: wrap; gap: .75rem 1.25rem; align-items: center; margin: .75rem 0 1.25rem; }
  input[type=number] { width: 5rem; font: inherit; padding: .2rem .4rem; border: 1px solid var(--line); border-radius: 6px; background: transparent; color: inherit; }
  button { font: 600 15px/1 system-ui, sans-serif; padding: .65rem 1.2rem; border: 0; border-radius: 8px; background: var(--flame); color: #fff; cursor: pointer; }
  @media (prefers-color-scheme: dark) { button { color: #1c1712; } }
  #output { white-space: pre-wrap; overflow-wrap: anywhere; min-height: 10rem; } #output b { font-weight: inherit; color: var(--new); }
  #status { min-height: 1.4em; margin-top: .5rem; opacity: .8; }
</style>
<header><h1><span>Kindling</span> · ${name}</h1><small>OpenAI-compatible at <code>/v1</code></small></header>
<form>
  <label for="prompt">Begin a text; the model continues it.</label>
  <textarea id="prompt" autofocus placeholder="Type a beginning…"></textarea>
  <div>
    <label>temperature <input id="temperature" type="number" min="0" max="2" step="0.1" value="0.8"></label>
    <label>tokens <input id="tokens" type="number" min="1" max="2048" value="200"></label>
    <button id="go">Continue</button>
  </div>
</form>
<div id="output" aria-live="polite"></div>
<div id="status" role="status"></div>
<script type="module">
  const $ = (id) => document.getElementById(id);
  let running;
  const finish = (text) => { running = undefined; $("go").textContent = "Continue"; $("status").textContent = text; };
  document.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return running.abort();
    running = new AbortController();
    $("go").textContent = "Stop";
    const written = document.createElement("b");
    $("output").replaceChildren($("prompt").value, written);
    $("status").textContent = "…";
    const started = performance.now();
    let tokens = 0;
    const speed = () => tokens + " tokens, " + (tokens / ((performance.now() - started) / 1000)).toFixed(0) + " tokens/s";
    try {
      const response = await fetch("/v1/completions", {
        method: "POST", signal: running.signal, headers: { "content-type": "application/json" },
        body: JSON.stringify({ prompt: $("prompt").value, stream: true, max_tokens: +$("tokens").value, temperature: +$("temperature").value }),
      });
      if (!response.ok) throw new Error((await response.json()).error.message);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        const events = (rest + value).split("\\n\\n");
        rest = events.pop();
        for (const line of events) {
          const data = line.replace(/^data: /, "");
          if (data === "[DONE]") continue;
          const piece = JSON.parse(data);
          if (piece.error) throw new Error(piece.error.message);
          written.textContent += piece.choices[0].text;
          if (piece.choices[0].text) tokens++;
          $("status").textContent = speed();
        }
      }
      finish(speed());
    } catch (error) {
      finish(error.name === "AbortError" ? "stopped · " + speed() : error.message);
    }
  });
</script>
</html>`;
}
