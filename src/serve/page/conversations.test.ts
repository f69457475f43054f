/** The page in Chromium with answers that the test writes: branches, what is kept, files, input methods. */
import { readFile } from "node:fs/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { chromiumPath, launchChromium, openChatPage, say, settled } from "../../testing/chromium.ts";
import { contentEvent, endEvent, ScriptedApi } from "../../testing/scripted-api.ts";

describe.skipIf(!chromiumPath)("conversations on the page", () => {
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

  test("an edit and a further answer are branches, which a switch shows; a reload keeps them", async () => {
    script("one", "two", "three");
    await open();
    await say(page, "first");
    await settled(page);
    await button("Answer again").click();
    await expect.poll(bodies).toEqual(["first", "two"]);
    await settled(page);
    await page.locator("#prompt").press("ArrowUp");
    await page.getByRole("textbox", { name: "Edit the message" }).fill("edited");
    await page.keyboard.press("Control+Enter");
    await expect.poll(bodies).toEqual(["edited", "three"]);
    await settled(page);
    expect(api.requests.map((_, i) => messagesOf(i))).toEqual(
      ["first", "first", "edited"].map((content) => [{ role: "user", content }]),
    );
    await button("Previous version").click();
    expect(await bodies()).toEqual(["first", "two"]);
    await page.reload();
    await page.locator("body[data-ready]").waitFor();
    expect(await bodies()).toEqual(["first", "two"]);
    expect(await page.locator(".versions").allTextContents()).toEqual(["1 / 2", "2 / 2"]);
    await button("Next version").first().click();
    expect(await bodies()).toEqual(["edited", "three"]);
    await page.locator(".user").getByRole("button", { name: "Delete" }).click();
    expect(await bodies()).toEqual(["first", "two"]);
    await button("Undo").click();
    expect(await bodies()).toEqual(["edited", "three"]);
  });

  test("conversations are found, renamed, pinned, deleted and brought back", async () => {
    script("about the sea");
    await open();
    for (const text of ["alpha", "beta", "gamma"]) {
      await say(page, text);
      await settled(page);
      await page.locator("#new").click();
    }
    const titles = () => page.locator(".conversations .title").allTextContents();
    await expect.poll(titles).toEqual(["gamma", "beta", "alpha"]);
    await page.locator("li", { hasText: "alpha" }).hover();
    await button("Pin: alpha").click();
    await expect.poll(titles).toEqual(["alpha", "gamma", "beta"]);
    await page.locator("li", { hasText: "beta" }).hover();
    await button("Rename: beta").click();
    await page.keyboard.type("Waves");
    await page.keyboard.press("Enter");
    await expect.poll(titles).toEqual(["alpha", "gamma", "Waves"]);
    await page.locator("#search").fill("beta"); // in a message
    await expect.poll(titles).toEqual(["Waves"]);
    await page.locator("#search").fill("");
    await page.locator("li", { hasText: "gamma" }).hover();
    await button("Delete: gamma").click();
    await expect.poll(titles).toEqual(["alpha", "Waves"]);
    await button("Undo").click();
    await expect.poll(titles).toEqual(["alpha", "gamma", "Waves"]);
  });

  test("an export is imported again; files that are none, or damaged, are refused and lose nothing", async () => {
    script("answer", "other");
    await open();
    await say(page, "question");
    await settled(page);
    await button("Answer again").click();
    await expect.poll(bodies).toEqual(["question", "other"]);
    await settled(page);
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#export").click()]);
    const file = await readFile((await download.path()) as string, "utf8");
    const upload = (text: string) =>
      page.locator("#sidebar input[type=file]").setInputFiles({
        name: "file.json",
        mimeType: "application/json",
        buffer: Buffer.from(text),
      });
    const count = () => page.locator(".conversations li").count();
    for (const [text, reason] of [
      ["{", "no JSON"],
      ['{"format":"other"}', "format"],
      [file.replace('"role": "user"', '"role": "root"'), "role"],
      [file.replace(/"parent": "\w+"/, '"parent": "nobody"'), "parent"],
      [file.replace('"content": "other"', '"content": 7'), "content"],
    ]) {
      await upload(text);
      await page.locator(".notice.bad", { hasText: reason }).waitFor();
      await page.locator(".notice.bad button").click();
      expect(await count()).toBe(1);
    }
    await upload(file);
    await page.locator(".notice", { hasText: "1 conversation imported." }).waitFor();
    await expect.poll(count).toBe(2);
    await page.locator(".conversations li:not(.current) .open").click();
    await expect.poll(() => page.locator(".conversations li:not(.current)").count()).toBe(1);
    expect(await bodies()).toEqual(["question", "other"]);
    expect(await page.locator(".versions").textContent()).toBe("2 / 2");
  });

  test("Enter that chooses a character of an input method sends nothing", async () => {
    script("fine");
    await open();
    const session = await page.context().newCDPSession(page);
    await page.locator("#prompt").focus();
    await session.send("Input.imeSetComposition", { text: "ni", selectionStart: 2, selectionEnd: 2 });
    await page.locator("#prompt").dispatchEvent("keydown", { key: "Enter", isComposing: true });
    await page.locator("#prompt").dispatchEvent("keydown", { key: "Enter", keyCode: 229 }); // Safari's
    await session.send("Input.insertText", { text: "你" });
    expect(await page.locator("#prompt").inputValue()).toBe("你");
    expect(api.requests).toHaveLength(0);
    await page.keyboard.press("Enter");
    await settled(page);
    expect(messagesOf(0)).toEqual([{ role: "user", content: "你" }]);
  });

  test("a browser that is full, or keeps nothing, says so, and the talk goes on in memory", async () => {
    script("answer");
    await open();
    await page.evaluate(
      `IDBObjectStore.prototype.put = () => { throw new DOMException("full", "QuotaExceededError"); }`,
    );
    await say(page, "one");
    await settled(page);
    await page.locator(".notice.bad", { hasText: "no room left" }).waitFor();
    await page.locator("#new").click();
    await page.locator(".conversations .open").click();
    await expect.poll(bodies).toEqual(["one", "answer"]);
    expect(await page.locator(".notice.bad").count()).toBe(1);
    const nothing = await browser.newContext({ locale: "en-US" });
    await nothing.addInitScript("Object.defineProperty(window, 'indexedDB', { value: undefined })");
    await nothing.addInitScript("Storage.prototype.setItem = () => { throw new DOMException('no', 'SecurityError'); }");
    const other = await nothing.newPage();
    await other.goto(url);
    await other.locator(".notice", { hasText: "keeps no data" }).waitFor();
    await say(other, "two");
    await other.locator(".assistant", { hasText: "answer" }).waitFor();
    await nothing.close();
  });

  test("two pages of one browser show the same conversations", async () => {
    script("answer");
    await open();
    const other = await page.context().newPage();
    await other.goto(url);
    await say(page, "one");
    await settled(page);
    await other.locator(".conversations .open", { hasText: "one" }).click();
    await expect.poll(() => other.locator(".assistant").count()).toBe(1);
    await say(page, "two");
    await settled(page);
    await expect.poll(() => other.locator(".assistant").count()).toBe(2);
  });
});
