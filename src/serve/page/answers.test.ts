/** The page in Chromium with answers that the test writes: thoughts, tools, keys, images, the end that is followed. */
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { chromiumPath, launchChromium, openChatPage, say, settled } from "../../testing/chromium.ts";
import { contentEvent, endEvent, ScriptedApi } from "../../testing/scripted-api.ts";

/** One red pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

describe.skipIf(!chromiumPath)("answers on the page", () => {
  let browser: Browser;
  let page: Page;
  let api: ScriptedApi;
  let url: string;
  const complaints: string[] = [];
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    api = new ScriptedApi("a template");
    url = await api.listen();
  });
  afterEach(async () => {
    await page.context().close();
    await api.close();
    expect(complaints.splice(0)).toEqual([]);
  });

  const open = async (options = {}) => {
    page = await openChatPage(browser, url, complaints, options);
  };
  const script = (...answers: string[]) =>
    api.answers.splice(0, api.answers.length, ...answers.map((text) => ({ events: [contentEvent(text), endEvent()] })));
  const bodies = async () => (await page.locator(".message .body").allTextContents()).map((text) => text.trim());
  const button = (name: string | RegExp) => page.getByRole("button", { name, exact: typeof name === "string" });
  const messagesOf = (request: number) => api.requests[request].body.messages;

  test("thoughts are folded; a call is a card whose result goes back", async () => {
    const call = (part: object) => ({ choices: [{ index: 0, delta: { tool_calls: [part] } }] });
    api.answers.push(
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
    await open();
    await page.keyboard.press("Control+,");
    await page.locator("#tools").fill('[{"name":"weather","parameters":{"type":"object"}}]');
    await say(page, "Weather?");
    await settled(page);
    expect(await page.locator(".assistant .thoughts").getAttribute("open")).toBeNull();
    await page.locator(".assistant .thoughts summary").click();
    expect(await page.locator(".assistant .thought-text").textContent()).toBe("Let me look.");
    expect(await page.locator(".call pre").textContent()).toBe('{\n  "city": "Brest"\n}');
    await page.getByRole("textbox", { name: "Result of weather" }).fill("rain");
    await button("Send result").click();
    await page.getByText("It rains.", { exact: true }).waitFor();
    const asked = { name: "weather", parameters: { type: "object" } };
    expect(api.requests[0].body.tools).toEqual([{ type: "function", function: asked }]);
    expect(messagesOf(1)).toEqual([
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
    script("in");
    api.key = "secret";
    page = await (await browser.newContext()).newPage();
    await page.goto(url);
    for (const [key, isKept] of [
      ["wrong", false],
      ["secret", true],
    ] as const) {
      await page.locator("#api-key").fill(key);
      if (isKept) await page.locator("dialog input[type=checkbox]").check();
      await page.getByRole("button", { name: "Use key" }).click();
      await page.locator("dialog").waitFor({ state: isKept ? "detached" : "visible" });
    }
    await page.locator("body[data-ready]").waitFor();
    await say(page, "hello");
    await settled(page);
    expect(api.requests[0].headers.authorization).toBe("Bearer secret");
    expect(await page.evaluate("localStorage.getItem('kindling.api-key')")).toBe("secret");
  });

  test("images go with a message where the model takes them; models are chosen where there are several", async () => {
    api.models = [{ id: "tiny" }, { id: "eyes", capabilities: ["vision"] }, { id: "vectors", kind: "embedding" }];
    api.answers.push({ status: 400, json: { error: { message: "this picture is too dark", code: "invalid_value" } } });
    await open();
    expect(await page.locator(".attach").isVisible()).toBe(false);
    expect(await page.locator("#model option").allTextContents()).toEqual(["tiny", "eyes"]);
    await page.locator("#model").selectOption("eyes");
    expect(await page.locator(".attach").isVisible()).toBe(true);
    const image = { name: "a.png", mimeType: "image/png", buffer: Buffer.from(PNG, "base64") };
    await page.locator("#composer input[type=file]").setInputFiles([image, { ...image, mimeType: "text/html" }]);
    await page.locator(".notice.bad", { hasText: "Only PNG" }).waitFor();
    await say(page, "What is this?");
    await settled(page);
    expect(api.requests[0].body.model).toBe("eyes");
    expect(messagesOf(0)).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } },
        ],
      },
    ]);
    expect(await page.locator(".error:visible").textContent()).toBe("this picture is too dark");
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
    api.answers.push({ events: [...lines(0), () => gate, ...lines(40), () => over] });
    await open({ viewport: { width: 900, height: 500 } });
    await say(page, "count");
    await page.getByText("line 39", { exact: true }).waitFor();
    const distance = (): Promise<number> =>
      page.evaluate(
        "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(document.querySelector('.thread'))",
      );
    await expect.poll(distance).toBeLessThan(48);
    await page.locator(".thread").hover();
    await page.mouse.wheel(0, -300);
    await expect.poll(distance).toBeGreaterThan(200);
    release();
    await page.getByText("line 79", { exact: true }).waitFor({ state: "attached" });
    expect(await distance()).toBeGreaterThan(200);
    await page.getByRole("button", { name: "To the latest message" }).click();
    await expect.poll(distance).toBeLessThan(48);
    await page.keyboard.press("Escape");
    await api.requests[0].closed;
    isOver();
    await settled(page);
    expect(await page.locator(".stats").last().textContent()).toMatch(/stopped$/);
  });

  test("the language is the browser's, and is changed without a reload, also while an answer is written", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    api.answers.push({ events: [contentEvent("half "), () => gate, contentEvent("whole"), endEvent()] });
    await open({ locale: "zh-CN" });
    expect(await page.locator("#prompt").getAttribute("placeholder")).toBe("输入消息");
    await say(page, "你好");
    await page.getByText("half").waitFor();
    await page.locator("#language").selectOption("en");
    expect(await page.locator("html").getAttribute("lang")).toBe("en");
    release();
    await settled(page);
    expect(await bodies()).toEqual(["你好", "half whole"]);
    await page.keyboard.press("Control+/");
    expect(await page.getByRole("dialog", { name: "Keyboard shortcuts" }).isVisible()).toBe(true);
  });
});
