/** The page in Chromium with answers that the test writes: thoughts, tools, keys, images, the end that is followed. */
import { describe, expect, test } from "vitest";
import { chromiumPath, say, settled } from "../../testing/chromium.ts";
import { contentEvent, endEvent } from "../../testing/scripted-api.ts";
import { ScriptedPage } from "../../testing/scripted-page.ts";

/** One red pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

describe.skipIf(!chromiumPath)("answers on the page", () => {
  const chat = new ScriptedPage();

  test("thoughts are folded; a call is a card whose result goes back", async () => {
    const call = (part: object) => ({ choices: [{ index: 0, delta: { tool_calls: [part] } }] });
    chat.api.answers.push(
      {
        events: [
          { choices: [{ index: 0, delta: { reasoning_content: "Let me look." } }] },
          call({ index: 0, id: "c1", type: "function", function: { name: "weather", arguments: "" } }),
          call({ index: 0, function: { arguments: '{"city":' } }),
          call({ index: 0, function: { arguments: '"Brest"}' } }),
          endEvent("tool_calls"),
        ],
      },
      { events: [contentEvent("It rains."), endEvent()] },
    );
    await chat.open();
    await chat.page.keyboard.press("Control+,");
    await chat.page.locator("#tools").fill('[{"name":"weather","parameters":{"type":"object"}}]');
    await say(chat.page, "Weather?");
    await settled(chat.page);
    expect(await chat.page.locator(".assistant .thoughts").getAttribute("open")).toBeNull();
    await chat.page.locator(".assistant .thoughts summary").click();
    expect(await chat.page.locator(".assistant .thought-text").textContent()).toBe("Let me look.");
    expect(await chat.page.locator(".call pre").textContent()).toBe('{\n  "city": "Brest"\n}');
    await chat.page.getByRole("textbox", { name: "Result of weather" }).fill("rain");
    await chat.button("Send result").click();
    await chat.page.getByText("It rains.", { exact: true }).waitFor();
    const asked = { name: "weather", parameters: { type: "object" } };
    expect(chat.api.requests[0].body.tools).toEqual([{ type: "function", function: asked }]);
    expect(chat.messagesOf(1)).toEqual([
      { role: "user", content: "Weather?" },
      {
        role: "assistant",
        content: "",
        tool_calls: [{ id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Brest"}' } }],
      },
      { role: "tool", content: "rain", tool_call_id: "c1" },
    ]);
  });

  test("a server that asks for a key gets it, and the browser keeps it only when asked", async () => {
    chat.script("in");
    chat.api.key = "secret";
    chat.page = await (await chat.browser.newContext()).newPage();
    await chat.page.goto(chat.url);
    for (const [key, isKept, hint] of [
      ["wrong", false, /asks for a key/],
      ["secret", true, /does not know this key/],
    ] as const) {
      await chat.page.locator("#key-hint", { hasText: hint }).waitFor();
      expect(await chat.page.locator("dialog a").getAttribute("href")).toBe("/docs");
      await chat.page.locator("#api-key").fill(key);
      if (isKept) await chat.page.locator("dialog input[type=checkbox]").check();
      await chat.page.getByRole("button", { name: "Use key" }).click();
      await chat.page.locator("dialog").waitFor({ state: isKept ? "detached" : "visible" });
    }
    await chat.page.locator("body[data-ready]").waitFor();
    await say(chat.page, "hello");
    await settled(chat.page);
    expect(chat.api.requests[0].headers.authorization).toBe("Bearer secret");
    expect(await chat.page.evaluate("localStorage.getItem('kindling.api-key')")).toBe("secret");
  });

  test("images go with a message where the model takes them; models are chosen where there are several", async () => {
    chat.api.models = [{ id: "tiny" }, { id: "eyes", capabilities: ["vision"] }, { id: "vectors", kind: "embedding" }];
    chat.api.answers.push({
      status: 400,
      json: { error: { message: "this picture is too dark", code: "invalid_value" } },
    });
    await chat.open();
    expect(await chat.page.locator(".attach").isVisible()).toBe(false);
    expect(await chat.page.locator("#model option").allTextContents()).toEqual(["tiny", "eyes"]);
    await chat.page.locator("#model").selectOption("eyes");
    expect(await chat.page.locator(".attach").isVisible()).toBe(true);
    const image = { name: "a.png", mimeType: "image/png", buffer: Buffer.from(PNG, "base64") };
    await chat.page.locator("#composer input[type=file]").setInputFiles([image, { ...image, mimeType: "text/html" }]);
    await chat.page.locator(".notice.bad", { hasText: "Only PNG" }).waitFor();
    await say(chat.page, "What is this?");
    await settled(chat.page);
    expect(chat.api.requests[0].body.model).toBe("eyes");
    expect(chat.messagesOf(0)).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } },
        ],
      },
    ]);
    expect(await chat.page.locator(".error:visible").textContent()).toBe("this picture is too dark");
  });

  test("the end of an answer is followed until the reader scrolls up; a stop closes the request", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const lines = (from: number) => Array.from({ length: 40 }, (_, i) => contentEvent(`line ${from + i}\n\n`));
    let isOver = () => {};
    const over = new Promise<void>((resolve) => {
      isOver = resolve;
    });
    chat.api.answers.push({ events: [...lines(0), () => gate, ...lines(40), () => over] });
    await chat.open({ viewport: { width: 900, height: 500 } });
    await say(chat.page, "count");
    await chat.page.getByText("line 39", { exact: true }).waitFor();
    const distance = (): Promise<number> =>
      chat.page.evaluate(
        "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(document.querySelector('.thread'))",
      );
    await expect.poll(distance).toBeLessThan(48);
    await chat.page.locator(".thread").hover();
    await chat.page.mouse.wheel(0, -300);
    await expect.poll(distance).toBeGreaterThan(200);
    release();
    await chat.page.getByText("line 79", { exact: true }).waitFor({ state: "attached" });
    expect(await distance()).toBeGreaterThan(200);
    await chat.page.getByRole("button", { name: "To the latest message" }).click();
    await expect.poll(distance).toBeLessThan(48);
    await chat.page.keyboard.press("Escape");
    await chat.api.requests[0].closed;
    isOver();
    await settled(chat.page);
    expect(await chat.page.locator(".stats").last().textContent()).toMatch(/stopped$/);
  });

  test("the language is the browser's, and is changed without a reload, also while an answer is written", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.api.answers.push({ events: [contentEvent("half "), () => gate, contentEvent("whole"), endEvent()] });
    await chat.open({ locale: "zh-CN" });
    expect(await chat.page.locator("#prompt").getAttribute("placeholder")).toBe("输入消息");
    await say(chat.page, "你好");
    await chat.page.getByText("half").waitFor();
    await chat.page.locator("#language").selectOption("en");
    expect(await chat.page.locator("html").getAttribute("lang")).toBe("en");
    release();
    await settled(chat.page);
    expect(await chat.bodies()).toEqual(["你好", "half whole"]);
    await chat.page.keyboard.press("Control+/");
    expect(await chat.page.getByRole("dialog", { name: "Keyboard shortcuts" }).isVisible()).toBe(true);
  });
});
