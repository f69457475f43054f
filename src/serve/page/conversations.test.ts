/** The page in Chromium with answers that the test writes: branches, what is kept, files, input methods. */
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { chromiumPath, say, settled } from "../../testing/chromium.ts";
import { ScriptedPage } from "../../testing/scripted-page.ts";

describe.skipIf(!chromiumPath)("conversations on the page", () => {
  const chat = new ScriptedPage();

  test("an edit and a further answer are branches, which a switch shows; a reload keeps them", async () => {
    chat.script("one", "two", "three");
    await chat.open();
    await say(chat.page, "first");
    await settled(chat.page);
    await chat.button("Answer again").click();
    await expect.poll(() => chat.bodies()).toEqual(["first", "two"]);
    await settled(chat.page);
    await chat.page.locator("#prompt").press("ArrowUp");
    await chat.page.getByRole("textbox", { name: "Edit the message" }).fill("edited");
    await chat.page.keyboard.press("Control+Enter");
    await expect.poll(() => chat.bodies()).toEqual(["edited", "three"]);
    await settled(chat.page);
    expect(chat.api.requests.map((_, i) => chat.messagesOf(i))).toEqual(
      ["first", "first", "edited"].map((content) => [{ role: "user", content }]),
    );
    await chat.button("Previous version").click();
    expect(await chat.bodies()).toEqual(["first", "two"]);
    await chat.page.reload();
    await chat.page.locator("body[data-ready]").waitFor();
    expect(await chat.bodies()).toEqual(["first", "two"]);
    expect(await chat.page.locator(".versions").allTextContents()).toEqual(["1 / 2", "2 / 2"]);
    await chat.button("Next version").first().click();
    expect(await chat.bodies()).toEqual(["edited", "three"]);
    await chat.page.locator(".user").getByRole("button", { name: "Delete" }).click();
    expect(await chat.bodies()).toEqual(["first", "two"]);
    await chat.button("Undo").click();
    expect(await chat.bodies()).toEqual(["edited", "three"]);
  });

  test("conversations are found, renamed, pinned, deleted and brought back", async () => {
    chat.script("about the sea");
    await chat.open();
    for (const text of ["alpha", "beta", "gamma"]) {
      await say(chat.page, text);
      await settled(chat.page);
      await chat.page.locator("#new").click();
    }
    const titles = () => chat.page.locator(".conversations .title").allTextContents();
    await expect.poll(titles).toEqual(["gamma", "beta", "alpha"]);
    await chat.page.locator("li", { hasText: "alpha" }).hover();
    await chat.button("Pin: alpha").click();
    await expect.poll(titles).toEqual(["alpha", "gamma", "beta"]);
    await chat.page.locator("li", { hasText: "beta" }).hover();
    await chat.button("Rename: beta").click();
    await chat.page.keyboard.type("Waves");
    await chat.page.keyboard.press("Enter");
    await expect.poll(titles).toEqual(["alpha", "gamma", "Waves"]);
    await chat.page.locator("#search").fill("beta"); // in a message
    await expect.poll(titles).toEqual(["Waves"]);
    await chat.page.locator("#search").fill("");
    await chat.page.locator("li", { hasText: "gamma" }).hover();
    await chat.button("Delete: gamma").click();
    await expect.poll(titles).toEqual(["alpha", "Waves"]);
    await chat.button("Undo").click();
    await expect.poll(titles).toEqual(["alpha", "gamma", "Waves"]);
  });

  test("an export is imported again; files that are none, or damaged, are refused and lose nothing", async () => {
    chat.script("answer", "other");
    await chat.open();
    await say(chat.page, "question");
    await settled(chat.page);
    await chat.button("Answer again").click();
    await expect.poll(() => chat.bodies()).toEqual(["question", "other"]);
    await settled(chat.page);
    const [download] = await Promise.all([chat.page.waitForEvent("download"), chat.page.locator("#export").click()]);
    const file = await readFile((await download.path()) as string, "utf8");
    const upload = (text: string) =>
      chat.page.locator("#sidebar input[type=file]").setInputFiles({
        name: "file.json",
        mimeType: "application/json",
        buffer: Buffer.from(text),
      });
    const count = () => chat.page.locator(".conversations li").count();
    for (const [text, reason] of [
      ["{", "no JSON"],
      ['{"format":"other"}', "format"],
      [file.replace('"role": "user"', '"role": "root"'), "role"],
      [file.replace(/"parent": "\w+"/, '"parent": "nobody"'), "parent"],
      [file.replace('"content": "other"', '"content": 7'), "content"],
    ]) {
      await upload(text);
      await chat.page.locator(".notice.bad", { hasText: reason }).waitFor();
      await chat.page.locator(".notice.bad button").click();
      expect(await count()).toBe(1);
    }
    await upload(file);
    await chat.page.locator(".notice", { hasText: "1 conversation imported." }).waitFor();
    await expect.poll(count).toBe(2);
    await chat.page.locator(".conversations li:not(.current) .open").click();
    await expect.poll(() => chat.page.locator(".conversations li:not(.current)").count()).toBe(1);
    expect(await chat.bodies()).toEqual(["question", "other"]);
    expect(await chat.page.locator(".versions").textContent()).toBe("2 / 2");
  });

  test("Enter that chooses a character of an input method sends nothing", async () => {
    chat.script("fine");
    await chat.open();
    const session = await chat.page.context().newCDPSession(chat.page);
    await chat.page.locator("#prompt").focus();
    await session.send("Input.imeSetComposition", { text: "ni", selectionStart: 2, selectionEnd: 2 });
    await chat.page.locator("#prompt").dispatchEvent("keydown", { key: "Enter", isComposing: true });
    await chat.page.locator("#prompt").dispatchEvent("keydown", { key: "Enter", keyCode: 229 }); // Safari's
    await session.send("Input.insertText", { text: "你" });
    expect(await chat.page.locator("#prompt").inputValue()).toBe("你");
    expect(chat.api.requests).toHaveLength(0);
    await chat.page.keyboard.press("Enter");
    await settled(chat.page);
    expect(chat.messagesOf(0)).toEqual([{ role: "user", content: "你" }]);
  });

  test("a browser that is full, or keeps nothing, says so, and the talk goes on in memory", async () => {
    chat.script("answer");
    await chat.open();
    await chat.page.evaluate(
      `IDBObjectStore.prototype.put = () => { throw new DOMException("full", "QuotaExceededError"); }`,
    );
    await say(chat.page, "one");
    await settled(chat.page);
    await chat.page.locator(".notice.bad", { hasText: "no room left" }).waitFor();
    await chat.page.locator("#new").click();
    await chat.page.locator(".conversations .open").click();
    await expect.poll(() => chat.bodies()).toEqual(["one", "answer"]);
    expect(await chat.page.locator(".notice.bad").count()).toBe(1);
    const nothing = await chat.browser.newContext({ locale: "en-US" });
    await nothing.addInitScript("Object.defineProperty(window, 'indexedDB', { value: undefined })");
    await nothing.addInitScript("Storage.prototype.setItem = () => { throw new DOMException('no', 'SecurityError'); }");
    const other = await nothing.newPage();
    await other.goto(chat.url);
    await other.locator(".notice", { hasText: "keeps no data" }).waitFor();
    await say(other, "two");
    await other.locator(".assistant", { hasText: "answer" }).waitFor();
    await nothing.close();
  });

  test("two pages of one browser show the same conversations", async () => {
    chat.script("answer");
    await chat.open();
    const other = await chat.page.context().newPage();
    await other.goto(chat.url);
    await say(chat.page, "one");
    await settled(chat.page);
    await other.locator(".conversations .open", { hasText: "one" }).click();
    await expect.poll(() => other.locator(".assistant").count()).toBe(1);
    await say(chat.page, "two");
    await settled(chat.page);
    await expect.poll(() => other.locator(".assistant").count()).toBe(2);
  });
});
