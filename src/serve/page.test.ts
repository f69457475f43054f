/** The page in headless Chromium: it chats where the model has a template, and continues a text where it has none. */
import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type HeldGenerator, heldModel } from "../testing/served-model.ts";
import { type RunningServer, type ServeOptions, serve } from "./index.ts";

const executable = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const TEMPLATE =
  "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}{% if add_generation_prompt %}a:{% endif %}";

describe.skipIf(!executable)("the page", () => {
  let browser: Browser;
  let page: Page;
  let server: RunningServer;
  let generator: HeldGenerator;
  /** What the browser's console and network complain of. */
  const complaints: string[] = [];
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox"] });
  });
  afterAll(() => browser.close());
  afterEach(async () => {
    generator.release();
    await page.close();
    await server.close();
    expect(complaints.splice(0)).toEqual([]);
  });

  async function open(
    chatTemplate: string | undefined,
    { contextLength = 256, ...options }: ServeOptions & { contextLength?: number } = {},
  ): Promise<void> {
    const model = { ...heldModel(contextLength), id: "a <b> model", chatTemplate };
    generator = model.generator;
    server = await serve(model, { port: 0, ...options });
    generator.prompts.length = 0;
    page = await browser.newPage();
    page.on("console", (message) => {
      if (message.type() === "error" && !/status of (400|429)/.test(message.text())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(server.url);
  }
  const prompts = () => Promise.all(generator.prompts.map((ids) => heldModelText(ids)));
  const bubbles = () => page.locator("#output > div").allTextContents();
  const status = () => page.locator("#status").textContent();
  /** Waits for the end of an answer. */
  const settled = () => page.locator("#go:not(:text('Stop'))").waitFor();

  test("chats by the template, with a system prompt, and sends all of it each time", async () => {
    await open(TEMPLATE);
    await page.locator("summary").click();
    await page.locator("#system").fill("Be brief");
    await page.locator("#tokens").fill("5");
    await page.locator("#prompt").fill("Hi <i>there</i>");
    await page.keyboard.press("Enter");
    await settled();
    expect(await bubbles()).toEqual(["Hi <i>there</i>", ' !"#$']);
    expect(await status()).toMatch(/^5 tokens.* cut there by the limit of tokens$/);
    expect(await page.locator("#prompt").inputValue()).toBe("");
    await page.locator("#prompt").fill("More");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("lines");
    await page.keyboard.press("Control+Enter");
    await settled();
    expect(await prompts()).toEqual([
      "s:Be brief;u:Hi <i>there</i>;a:",
      's:Be brief;u:Hi <i>there</i>;a: !"#$;u:More\nlines;a:',
    ]);
    expect(await page.title()).toBe("a <b> model · Kindling");
  });

  test("retries, edits the last message, clears", async () => {
    await open(TEMPLATE);
    await page.locator("#prompt").fill("one");
    await page.locator("#go").click();
    await settled();
    await page.locator("#retry").click();
    await settled();
    expect(await prompts()).toEqual(["u:one;a:", "u:one;a:"]);
    expect(await bubbles()).toHaveLength(2);
    await page.locator("#edit").click();
    expect(await page.locator("#prompt").inputValue()).toBe("one");
    expect(await bubbles()).toEqual([]);
    await page.keyboard.type("!");
    await page.keyboard.press("Enter");
    await settled();
    expect((await prompts())[2]).toBe("u:one!;a:");
    await page.locator("#clear").click();
    expect(await bubbles()).toEqual([]);
    expect(await page.locator("#retry").isDisabled()).toBe(true);
  });

  test("stops an answer, and goes on from what there is of it", async () => {
    await open(TEMPLATE);
    generator.hold(7);
    await page.locator("#prompt").fill("talk");
    await page.keyboard.press("Enter");
    await page.locator(".assistant", { hasText: "&" }).waitFor(); // the seventh
    await page.locator("#go").click(); // now "Stop"
    await settled();
    expect(await status()).toMatch(/^stopped · 7 tokens/);
    const [, answer] = await bubbles();
    expect(answer).toBe(' !"#$%&');
    generator.hold();
    await page.locator("#prompt").fill("on");
    await page.keyboard.press("Enter");
    await expect.poll(prompts).toHaveLength(2);
    expect((await prompts())[1]).toBe(`u:talk;a:${answer};u:on;a:`);
    await page.keyboard.press("Escape");
    await settled();
    expect(await status()).toBe("stopped");
    expect(await bubbles()).toEqual(["talk", answer, "on"]);
  });

  test("says in words what the server refuses", async () => {
    await open(TEMPLATE, { maxQueue: 0 });
    await page.locator("#prompt").fill("x".repeat(300));
    await page.keyboard.press("Enter");
    await settled();
    expect(await status()).toMatch(
      /maximum context length is 256 tokens.*Clear the conversation, or edit the last message\.$/,
    );
    await page.locator("#clear").click();
    generator.hold();
    const other = fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"prompt":"x"}',
    });
    await expect.poll(prompts).toHaveLength(1);
    await page.locator("#prompt").fill("hello");
    await page.keyboard.press("Enter");
    await settled();
    expect(await status()).toMatch(/The server is busy.*Try again in \d+ s/);
    generator.release();
    await (await other).text();
    await page.locator("#retry").click();
    await settled();
    expect((await bubbles())[0]).toBe("hello");
    expect(await bubbles()).toHaveLength(2);
  });

  test("continues a text where there is no template; no number of tokens asks for the usual one", async () => {
    await open(undefined);
    await page.locator("#prompt").fill("Once");
    await page.keyboard.press("Enter"); // a new line
    await page.keyboard.press("Control+Enter");
    await settled();
    expect(await prompts()).toEqual(["Once\n"]);
    expect(await status()).toMatch(/^128 tokens/);
    expect((await bubbles())[0]).toMatch(/^Once\n !"#/);
    await page.locator("#retry").click();
    await settled();
    expect(await prompts()).toEqual(["Once\n", "Once\n"]);
  });

  test.each([
    ["light", 360],
    ["light", 1280],
    ["dark", 360],
    ["dark", 1280],
  ] as const)("fits: %s, %d wide", async (colorScheme, width) => {
    await open(TEMPLATE);
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 700 });
    await page.locator("summary").click();
    await page.locator("#prompt").fill(`${"word ".repeat(20)}${"x".repeat(70)}`);
    await page.keyboard.press("Enter");
    await settled();
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    const folder = process.env.KINDLING_SCREENSHOTS;
    if (folder) await page.screenshot({ path: `${folder}/chat-${colorScheme}-${width}.png`, fullPage: true });
  });
});

const heldModelText = (ids: readonly number[]) => heldModel().tokenizer.decode(ids);
