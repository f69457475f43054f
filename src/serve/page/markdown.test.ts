/** What a model writes is shown and never run: hostile Markdown through the page's own renderer, in Chromium. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromiumPath, launchChromium, openChatPage, say, settled } from "../../testing/chromium.ts";
import { contentEvent, endEvent, ScriptedApi } from "../../testing/scripted-api.ts";

const hostile = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg onload=alert(1)><svg/onload=alert(1)>",
  "<iframe src='javascript:alert(1)'></iframe><iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "<a href='javascript:alert(1)'>x</a>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](java\tscript:alert(1))",
  "[x](&#106;avascript:alert(1))",
  "[x](vbscript:msgbox(1))",
  "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
  "[x](<javascript:alert(1)>)",
  '[x](https://a.example/"onmouseover="alert(1))',
  '![x](x"onerror="alert(1))',
  "![x](https://tracker.example/pixel.png)",
  "![x](//tracker.example/pixel.png)",
  "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)",
  "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
  "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
  "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
  "<style>@import 'https://tracker.example/a.css'; * { display: none }</style>",
  "<link rel=stylesheet href=https://tracker.example/a.css>",
  "<meta http-equiv=refresh content='0;url=https://tracker.example'>",
  "<base href=https://tracker.example/>",
  "<form action=https://tracker.example><input name=x><button>x</button></form>",
  "<img name=body><form id=page><input name=children></form>",
  "<details open ontoggle=alert(1)>x</details>",
  "<br onclick=alert(1)><sub onmouseover=alert(1)>x</sub>",
  "<video src=x onerror=alert(1)></video><audio src=x onerror=alert(1)></audio><object data=x></object><embed src=x>",
  "`<img src=x onerror=alert(1)>`",
  '```"><img src=x onerror=alert(1)>\n<script>alert(1)</script>\n```',
  "| <img src=x onerror=alert(1)> | b |\n| --- | --- |\n| <script>alert(1)</script> | c |",
  "<javascript:alert(1)> <https://a.example/?q=<script>>",
  "[x]: javascript:alert(1)\n\n[x]",
  "- [ ] <img src=x onerror=alert(1)>\n- [x] done",
  "\u0000<scr\u0000ipt>alert(1)</script>",
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "<x-element is=y></x-element><template><script>alert(1)</script></template>",
];

const allowed = new Set(
  "P BR HR H1 H2 H3 H4 H5 H6 STRONG EM DEL CODE PRE BLOCKQUOTE UL OL LI TABLE THEAD TBODY TR TH TD A IMG SUB SUP KBD DIV SPAN BUTTON svg path".split(
    " ",
  ),
);

/** Of each element below the answers: its name, and its attributes. */
const elements = `[...document.querySelectorAll(".assistant .body *")].map((e) =>
  ({ name: e.tagName, attributes: Object.fromEntries([...e.attributes].map(({ name, value }) => [name, value])) }))`;

describe.skipIf(!chromiumPath)("Markdown on the page", () => {
  let browser: Browser;
  let api: ScriptedApi;
  let url: string;
  beforeAll(async () => {
    browser = await launchChromium();
    api = new ScriptedApi("a template");
    url = await api.listen();
  });
  afterAll(async () => {
    await browser.close();
    await api.close();
  });

  /** The page with one answer, and the requests to other hosts. */
  async function answered(text: string, pieces = 7): Promise<{ page: Page; foreign: string[]; faults: string[] }> {
    const length = Math.max(1, Math.ceil(text.length / pieces));
    const events = Array.from({ length: pieces }, (_, i) => contentEvent(text.slice(i * length, (i + 1) * length)));
    api.answers.splice(0, 1, { events: [...events, endEvent()] });
    const faults: string[] = [];
    const foreign: string[] = [];
    const page = await openChatPage(browser, url, faults);
    page.on("dialog", (dialog) => {
      faults.push(dialog.message());
      void dialog.dismiss();
    });
    page.on("request", (request) => {
      if (!/^(http:\/\/127|data:)/.test(request.url())) foreign.push(request.url());
    });
    await say(page, "go");
    await settled(page);
    return { page, foreign, faults };
  }

  test("no script, no frame, no foreign request, no attribute that does something", async () => {
    const { page, foreign, faults } = await answered(hostile.join("\n\n---\n\n"), 200);
    const list = (await page.evaluate(elements)) as { name: string; attributes: Record<string, string> }[];
    expect(list.length).toBeGreaterThan(40);
    for (const { name, attributes } of list) {
      expect(allowed).toContain(name);
      for (const attribute of Object.keys(attributes)) expect(attribute).not.toMatch(/^on|^style$|^id$|^name$|^form/);
      if (name === "A") {
        expect(attributes.href ?? "https:").toMatch(/^(https?:|mailto:)/);
        expect(attributes).toMatchObject({ rel: "noopener noreferrer nofollow", target: "_blank" });
      }
      if (name === "IMG") expect(attributes.src).toMatch(/^data:image\/(png|jpeg|gif|webp);/);
    }
    await page.locator(".assistant .body a").first().hover();
    expect(foreign).toEqual([]);
    expect(faults).toEqual([]);
    expect(await page.locator(".assistant .body").textContent()).toContain("<script>alert(1)</script>");
    await page.context().close();
  });

  test("the policy of the page refuses what would come past the renderer", async () => {
    const { page } = await answered("fine");
    const refused = await page.evaluate(`(() => {
      const element = document.createElement("div");
      try { element.innerHTML = "<img src=x onerror=alert(1)>"; return "taken"; } catch (error) { return error.name; }
    })()`);
    expect(refused).toBe("TypeError"); // trusted types
    const policy = (await fetch(url)).headers.get("content-security-policy");
    expect(policy).toMatch(/^default-src 'none'; script-src 'self' 'sha256-[\w+/=]+';/);
    expect(policy).not.toMatch(/unsafe/);
    await page.context().close();
  });

  test("an answer that grows looks at its end as one that came whole", async () => {
    const text =
      "# Title\n\nA *word* [link].\n\n- a\n- b\n\n  more\n- c\n\n```js\nlet a = 1;\n\nlet b;\n```\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n1. x\n\n2. y\n\n> quote\n\nend\n\n[link]: https://a.example/";
    const html = async (pieces: number) => {
      const { page } = await answered(text, pieces);
      const inner = await page.locator(".assistant .body").innerHTML();
      await page.locator(".copy-code").click();
      expect(await page.locator("[data-copy]").getAttribute("data-copy")).toBe("let a = 1;\n\nlet b;");
      await page.context().close();
      return inner;
    };
    const whole = await html(1);
    expect(whole).toContain('<a href="https://a.example/"');
    expect(await html(text.length)).toBe(whole);
  });
});
