/** axe-core looks at the page in each state, light and dark, in both languages; and it fits a phone. */
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromiumPath, launchChromium, openChatPage, say, settled } from "../../testing/chromium.ts";
import { contentEvent, endEvent, ScriptedApi } from "../../testing/scripted-api.ts";

const answer =
  "# Title\n\nText with `code`, a [link](https://a.example/) and\n\n- [x] a list\n\n```js\nlet a;\n```\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n> quote";

describe.skipIf(!chromiumPath)("accessibility of the page", () => {
  let browser: Browser;
  let api: ScriptedApi;
  let url: string;
  beforeAll(async () => {
    browser = await launchChromium();
    api = new ScriptedApi("a template");
    api.models = [{ id: "tiny", capabilities: ["vision"] }, { id: "other" }];
    url = await api.listen();
  });
  afterAll(async () => {
    await browser.close();
    await api.close();
  });

  /** Faults that axe calls serious or critical. */
  async function faults(page: Page): Promise<string[]> {
    const result = await page.evaluate(
      `axe.run().then(({ violations }) => violations.filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => id + ": " + nodes.map(({ html, failureSummary }) => html.slice(0, 120) + failureSummary).join("; ")))`,
    );
    return result as string[];
  }

  const scripted = () => {
    const alternatives = ["likely", "rare"].map((token, i) => ({ token, logprob: i ? -6 : -0.01 }));
    const logprobs = { content: alternatives.map((token) => ({ ...token, top_logprobs: alternatives })) };
    const call = { index: 0, id: "c", function: { name: "weather", arguments: '{"city":"Brest"}' } };
    api.answers.splice(
      0,
      9,
      { events: [{ choices: [{ delta: { reasoning_content: "hm" } }] }, contentEvent(answer), endEvent()] },
      { status: 400, json: { error: { message: "refused" } } },
      {
        events: [
          contentEvent("likely rare", { logprobs }),
          { choices: [{ delta: { tool_calls: [call] } }] },
          endEvent(),
        ],
      },
    );
  };

  test.each([
    ["light", "en-US", 1280],
    ["dark", "en-US", 390],
    ["light", "zh-CN", 390],
    ["dark", "zh-CN", 1280],
  ] as const)("%s, %s, %d wide", async (colorScheme, locale, width) => {
    scripted();
    const complaints: string[] = [];
    const context = { colorScheme, locale, viewport: { width, height: 800 }, reducedMotion: "reduce" as const };
    const page = await openChatPage(browser, url, complaints, context);
    await page.evaluate(axe.source);
    expect(await faults(page)).toEqual([]);
    await say(page, "word ".repeat(20) + "x".repeat(90));
    await settled(page);
    await say(page, "again");
    await settled(page);
    await page.keyboard.press("Control+,");
    await page.locator("#probabilities").check();
    await page.locator("#temperature").fill("9"); // out of range
    await page.locator("#tools").fill("{");
    expect(await faults(page)).toEqual([]);
    await page.locator("#tools").fill("");
    await page.keyboard.press("Escape");
    await say(page, "tools");
    await settled(page);
    await page.locator(".token").first().hover();
    await page.locator("#prompt").focus();
    await page.keyboard.press("Control+k");
    expect(await faults(page)).toEqual([]);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    await page.keyboard.press("Control+/");
    expect(await faults(page)).toEqual([]);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("the keyboard alone: landmarks, a way past the list, focus that comes back, what is announced", async () => {
    scripted();
    const page = await openChatPage(browser, url, []);
    const focused = () => page.evaluate("document.activeElement.id || document.activeElement.dataset.opens");
    expect(await focused()).toBe("prompt");
    for (const role of ["main", "navigation", "complementary"] as const)
      expect(await page.getByRole(role).count()).toBeGreaterThan(0);
    await page.locator("[data-opens=settings]").focus();
    await page.keyboard.press("Enter");
    expect(await focused()).toBe("system");
    await page.keyboard.press("Escape");
    expect(await focused()).toBe("settings");
    await page.locator(".skip").focus();
    await page.keyboard.press("Enter");
    expect(await focused()).toBe("prompt");
    await page.keyboard.type("hello");
    await page.keyboard.press("Enter");
    await settled(page);
    await expect.poll(() => page.locator("#announcement").textContent()).toMatch(/^Answer complete\. # Title/);
    expect(await focused()).toBe("prompt");
    await page.keyboard.press("Control+,");
    await page.locator("#probabilities").check();
    await page.locator("#prompt").focus();
    for (let i = 0; i < 2; i++) {
      await page.keyboard.type("again");
      await page.keyboard.press("Enter");
      await settled(page);
    }
    const chosen = page.locator("#alternatives .chosen code");
    await page.locator(".token[tabindex='0']").focus(); // one stop of the Tab key
    expect(await chosen.textContent()).toBe("likely");
    await page.keyboard.press("ArrowRight");
    expect(await chosen.textContent()).toBe("rare");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Tab");
    expect(await chosen.textContent()).toBe("rare");
    await page.context().close();
  });
});
