/** The chat page in Chromium with answers that a test writes: made anew for each test of a block. */
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { launchChromium, openChatPage } from "./chromium.ts";
import { contentEvent, endEvent, ScriptedApi } from "./scripted-api.ts";

/** A page and the server behind it. The block of tests must be one that runs where there is Chromium. */
export class ScriptedPage {
  page!: Page;
  api!: ScriptedApi;
  browser!: Browser;
  url!: string;
  /** What the console and the page complain of; nothing may be left at the end of a test. */
  readonly complaints: string[] = [];

  /** Opens a browser for the block, and an API for each test. */
  constructor() {
    beforeAll(async () => {
      this.browser = await launchChromium();
    });
    afterAll(() => this.browser.close());
    beforeEach(async () => {
      this.api = new ScriptedApi("a template");
      this.url = await this.api.listen();
    });
    afterEach(async () => {
      await this.page.context().close();
      await this.api.close();
      expect(this.complaints.splice(0)).toEqual([]);
    });
  }

  async open(options: BrowserContextOptions = {}): Promise<void> {
    this.page = await openChatPage(this.browser, this.url, this.complaints, options);
  }

  /** What the next requests are answered with. */
  script(...answers: string[]): void {
    const scripted = answers.map((text) => ({ events: [contentEvent(text), endEvent()] }));
    this.api.answers.splice(0, this.api.answers.length, ...scripted);
  }

  /** The texts of the messages that are shown. */
  async bodies(): Promise<string[]> {
    return (await this.page.locator(".message .body").allTextContents()).map((text) => text.trim());
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole("button", { name, exact: typeof name === "string" });
  }

  messagesOf(request: number): unknown {
    return this.api.requests[request].body.messages;
  }
}
