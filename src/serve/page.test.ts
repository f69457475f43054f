/** The page in Chromium with a model behind it: what the server is asked, and what it is freed of. */
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { chromiumPath, launchChromium, openChatPage, say, settled } from "../testing/chromium.ts";
import { type HeldGenerator, heldModel, tinyServedModel } from "../testing/served-model.ts";
import { type RunningServer, type ServeOptions, serve } from "./index.ts";

const TEMPLATE =
  "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}{% if add_generation_prompt %}a:{% endif %}";

describe.skipIf(!chromiumPath)("the page and a model", () => {
  let browser: Browser;
  let page: Page;
  let server: RunningServer;
  let generator: HeldGenerator;
  const complaints: string[] = [];
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());
  afterEach(async () => {
    generator?.release();
    await page.context().close();
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
    page = await openChatPage(browser, server.url, complaints);
  }
  const prompts = () => Promise.all(generator.prompts.map((ids) => heldModel().tokenizer.decode(ids)));
  const bodies = async () => (await page.locator(".message .body").allTextContents()).map((text) => text.trim());
  const lastStats = () => page.locator(".stats").last().textContent();

  test("chats by the template, with settings that outlive a reload, and sends all of it each time", async () => {
    await open(TEMPLATE);
    expect(await page.title()).toBe("a <b> model · Kindling");
    await page.keyboard.press("Control+,");
    await page.locator("#system").fill("Be brief");
    expect(await page.locator("#temperature").getAttribute("placeholder")).toBe("1");
    await page.locator("#max_tokens").fill("5");
    await say(page, "Hi <i>there</i>");
    await settled(page);
    expect(await bodies()).toEqual(["Hi <i>there</i>", '!"#$']);
    expect(await lastStats()).toMatch(/^5 tokens · \d+ in the prompt.*cut off by the limit of tokens$/);
    await page.reload();
    await page.locator("body[data-ready]").waitFor();
    expect(await bodies()).toEqual(["Hi <i>there</i>", '!"#$']);
    await page.locator("#prompt").fill("More");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("lines");
    await page.keyboard.press("Control+Enter");
    await settled(page);
    expect(await prompts()).toEqual([
      "s:Be brief;u:Hi <i>there</i>;a:",
      's:Be brief;u:Hi <i>there</i>;a: !"#$;u:More\nlines;a:',
    ]);
    await page.locator("#new").click(); // begins with the last settings
    await say(page, "Again");
    await settled(page);
    expect((await prompts())[2]).toBe("s:Be brief;u:Again;a:");
  });

  test("a stop frees the place of the answer on the server, and the talk goes on from what there is", async () => {
    await open(TEMPLATE);
    generator.hold(7);
    await say(page, "talk");
    await page.locator(".assistant", { hasText: "&" }).waitFor(); // the seventh
    await page.keyboard.press("Escape");
    await settled(page);
    expect(await lastStats()).toMatch(/^7 tokens.*stopped$/);
    // one text at a time: this waits for ever unless the first is gone
    await say(page, "on");
    await expect.poll(prompts).toHaveLength(2);
    expect((await prompts())[1]).toBe('u:talk;a: !"#$%&;u:on;a:');
    await page.locator("#go").click(); // now "Stop"
    await settled(page);
    generator.release();
    expect(await (await fetch(`${server.url}/metrics`)).text()).toMatch(/num_requests_running\{[^}]*\} 0/);
  });

  test("goes on with an answer that was cut off, in its place", async () => {
    await open(TEMPLATE);
    await page.keyboard.press("Control+,");
    await page.locator("#max_tokens").fill("3");
    await say(page, "talk");
    await settled(page);
    await page.getByRole("button", { name: "Continue", exact: true }).click();
    await expect.poll(prompts).toHaveLength(2);
    await settled(page);
    expect((await prompts())[1]).toBe('u:talk;a: !"');
    expect(await page.locator(".message").count()).toBe(2);
  });

  test("says in words what the server refuses", async () => {
    await open(TEMPLATE, { maxQueue: 0 });
    await say(page, "x".repeat(300));
    await settled(page);
    expect(await page.locator(".error:visible").textContent()).toMatch(
      /maximum context length is 256 tokens.*Begin a new conversation, or edit or delete a message\.$/,
    );
    await page.locator("#new").click();
    generator.hold();
    const other = fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"prompt":"x"}',
    });
    await expect.poll(prompts).toHaveLength(1);
    await say(page, "hello");
    await settled(page);
    expect(await page.locator(".error:visible").textContent()).toMatch(/The server is busy.*Try again in \d+ s/);
    generator.release();
    await (await other).text();
    await page.getByRole("button", { name: "Answer again" }).click();
    await expect.poll(() => page.locator(".versions").textContent()).toBe("2 / 2");
    await settled(page);
    expect(await page.locator(".error:visible").count()).toBe(0);
  });

  test("continues a text where there is no template", async () => {
    await open(undefined, { contextLength: 1024 });
    await page.locator("#prompt").fill("Once");
    await page.keyboard.press("Enter"); // a new line
    await page.keyboard.press("Control+Enter");
    await settled(page);
    expect(await prompts()).toEqual(["Once\n"]);
    expect(await lastStats()).toMatch(/^200 tokens/);
    await page.keyboard.press("Control+Enter"); // goes on with nothing added
    await expect.poll(prompts).toHaveLength(2);
    await settled(page);
    expect((await prompts())[1]).toMatch(/^Once\n !"#/);
    expect(await page.locator(".message").count()).toBe(2);
    await page.locator("#prompt").fill("And then");
    await page.keyboard.press("Control+Enter");
    await expect.poll(prompts).toHaveLength(3);
    await settled(page);
    expect((await prompts())[2]).toMatch(/^Once\n !"#[\s\S]*And then$/);
  });

  test("shows how probable the tokens of a real model were, in both kinds of conversation", async () => {
    const model = tinyServedModel({ contextLength: 256, chatTemplate: TEMPLATE });
    server = await serve(model, { port: 0 });
    page = await openChatPage(browser, server.url, complaints);
    await page.keyboard.press("Control+,");
    await page.locator("#probabilities").check();
    await page.locator("#max_tokens").fill("9");
    await say(page, "Hello");
    await settled(page);
    const tokens = page.locator(".token");
    expect(await tokens.count()).toBe(9);
    expect(await tokens.first().getAttribute("aria-label")).toMatch(/, [\d.]+ %$/);
    await tokens.first().hover();
    expect(await page.locator("#alternatives .row").count()).toBeGreaterThanOrEqual(5);
    await page.locator("#new").click();
    await page.getByRole("radio", { name: "Text" }).check();
    await page.locator("#prompt").fill("Hello");
    await page.keyboard.press("Control+Enter");
    await settled(page);
    expect(await tokens.count()).toBe(9);
  });
});
