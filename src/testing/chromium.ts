/** Debian's Chromium, or Chrome, where there is one. */
import { existsSync } from "node:fs";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

export const chromiumPath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  existsSync,
);

export const launchChromium = (): Promise<Browser> =>
  chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });

/**
 * Opens the chat page in a fresh profile.
 * @param complaints gets what the console and the page complain of, but for refusals of the server
 */
export async function openChatPage(
  browser: Browser,
  url: string,
  complaints: string[],
  options: BrowserContextOptions = {},
): Promise<Page> {
  const page = await (await browser.newContext({ locale: "en-US", ...options })).newPage();
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of \d+/.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  await page.locator("body[data-ready]").waitFor();
  return page;
}

/** Writes a message, and sends it. */
export async function say(page: Page, text: string): Promise<void> {
  await page.locator("#prompt").fill(text);
  await page.keyboard.press("Enter");
}

/** Waits until no answer is under way. */
export const settled = (page: Page): Promise<void> => page.locator("#go[data-state=send]").waitFor();
