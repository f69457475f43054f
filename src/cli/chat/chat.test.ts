/** A talk as a person types it: keys, prompts, commands, what is forgotten. The streams are those of a terminal. */
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { DataError } from "../../base/index.ts";
import type { TextOptions } from "../../generate/index.ts";
import type { ServedModel } from "../../serve/index.ts";
import { heldModel, scriptedModel, tinyServedModel } from "../../testing/served-model.ts";
import { chatCommand } from "./chat.ts";
import { LocalModel } from "./local-model.ts";
import { MessageReader } from "./messages.ts";
import { splitOptions } from "./settings.ts";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const TAB = "\t";
const UP = "\u001b[A";

let folder: string;
let models: ServedModel[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => {
  for (const { generator } of models) generator.dispose();
  models = [];
});

/** A talk that is going on: what is typed, and what has been shown. */
function talk<M extends ServedModel>(
  model: M,
  options: TextOptions = { maxNewTokens: 3, temperature: 0 },
  { isTerminal = true, system = undefined as string | undefined, history = undefined as string | undefined } = {},
) {
  models.push(model);
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()];
  let shown = "";
  let told = "";
  output.on("data", (data) => {
    shown += data;
  });
  errors.on("data", (data) => {
    told += data;
  });
  const { settings, others } = splitOptions(options);
  const open = async (name: string) => {
    if (name !== "other") throw new DataError({ where: "model", expected: "other", received: name, fix: "take it" });
    const other = { ...heldModel(400), id: "other" };
    models.push(other);
    return other;
  };
  const ended = chatCommand(new LocalModel(model, others, open), {
    settings,
    system,
    streams: { input, output, errors, isTerminal },
    history: history ?? join(folder, "history"),
  });
  return {
    model,
    ended,
    type: (text: string) => input.write(text),
    end: () => input.end(),
    shown: () => shown,
    told: () => told,
    /** Waits until the text has been shown so often. */
    until: (text: string, count = 1) =>
      vi.waitFor(() => expect(shown.split(text).length - 1).toBeGreaterThanOrEqual(count), 5000),
  };
}
/** The first tokens of a held model. */
const ANSWER = ' !"';
const textOf = ({ tokenizer }: ServedModel, ids: readonly number[]) => tokenizer.decode([...ids]);

test("Ctrl-C stops an answer and the talk goes on; twice at the empty prompt it ends it", async () => {
  const { model, ended, type, until } = talk(heldModel(400), { maxNewTokens: 40 });
  model.generator.hold(3);
  await until(">>> ");
  type("Hello\r");
  await until(ANSWER);
  type(CTRL_C);
  await until("(stopped)");
  model.generator.release();
  type("Go on\r");
  await until("cut off after 40 tokens");
  // what was said stays
  expect(await textOf(model, model.generator.prompts[1])).toBe('user: Hello\nassistant: !"\nuser: Go on\nassistant:');
  type(CTRL_C);
  await until("(Ctrl-C again, or Ctrl-D, ends the talk)");
  type(`/help\r`); // any other key, and it is asked once more
  await until("/save <file>");
  type(CTRL_C);
  await until("(Ctrl-C again, or Ctrl-D, ends the talk)", 2);
  type(CTRL_C);
  expect(await ended).toBe(0);
});

test("two Ctrl-C in a row end an answer and the talk", async () => {
  const { model, ended, type, until } = talk(heldModel(), { maxNewTokens: 40 });
  model.generator.hold(3);
  type("Hello\r");
  await until(ANSWER);
  type(CTRL_C + CTRL_C);
  expect(await ended).toBe(130);
});

test("Ctrl-C drops a line that was begun; empty lines are not sent; the arrow brings a line back", async () => {
  const { model, ended, type, until } = talk(heldModel(400), { maxNewTokens: 3 });
  type("dropped");
  type(CTRL_C);
  type("\r  \r");
  type("first\r");
  await until(ANSWER);
  await until("cut off");
  type(`${UP}!\r`);
  await until("cut off", 2);
  type(CTRL_D);
  expect(await ended).toBe(0);
  expect(model.generator.prompts).toHaveLength(2);
  expect(await textOf(model, model.generator.prompts[1])).toMatch(/user: first!\nassistant:$/);
});

test("what is typed during an answer is not mixed with it, and is answered next", async () => {
  const { model, ended, type, shown, until } = talk(heldModel(400), { maxNewTokens: 5 });
  model.generator.hold(3);
  type("one\r");
  await until(ANSWER);
  type("two\r");
  model.generator.release();
  await until("cut off", 2);
  type("/exit\r");
  expect(await ended).toBe(0);
  expect(shown()).toContain(' !"#$\n(cut off after 5 tokens; --tokens <n> allows more)\n');
  expect(shown()).toContain(">>> two\n");
  expect(await textOf(model, model.generator.prompts[1])).toMatch(/user: two\nassistant:$/);
});

test("/system, /clear, /save, /help, and what is no command", async () => {
  const chatTemplate = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}";
  const { model, ended, type, shown, until } = talk(
    { ...heldModel(400), chatTemplate },
    { maxNewTokens: 3 },
    { system: "Be kind." },
  );
  const file = join(folder, "talk.json");
  type("/system\r");
  await until("system prompt: Be kind.");
  type("/system Be short.\rHello\r");
  await until("cut off");
  expect(await textOf(model, model.generator.prompts[0])).toBe("[system] Be short.\n[user] Hello\n");
  type(`/save ${file}\r`);
  await until(`saved ${file}`);
  const saved = [
    { role: "system", content: "Be short." },
    { role: "user", content: "Hello" },
    { role: "assistant", content: '!"' },
  ];
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual(saved);
  type(`/clear\r/save ${file}\r`); // a file that is there stays as it is
  await until("is there already");
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual(saved);
  type("/sytem x\r");
  await until("/sytem is no command");
  type("/system -\r/etc/hosts?\r");
  await until("cut off", 2);
  expect(await textOf(model, model.generator.prompts[1])).toBe("[user] /etc/hosts?\n");
  type("/help\r/exit\r");
  expect(await ended).toBe(0);
  expect(shown()).toContain("/save <file>");
});

test("several lines that are pasted are one message, which Enter sends", async () => {
  const { model, ended, type, shown, until } = talk(heldModel(400), { maxNewTokens: 3 });
  await until(">>> ");
  expect(shown()).toContain("\u001b[?2004h");
  type("\u001b[200~first\rsecond \\\rthird\u001b[201~");
  await until("third");
  expect(model.generator.prompts).toHaveLength(0);
  type(", typed\r");
  await until("cut off");
  type("/exit\r");
  expect(await ended).toBe(0);
  expect(await textOf(model, model.generator.prompts[0])).toBe("user: first\nsecond \\\nthird, typed\nassistant:");
  expect(model.generator.prompts).toHaveLength(1);
  expect(shown()).toContain("\u001b[?2004l");
});

test("with a chat template an answer may take all the room of the context", async () => {
  const { model, ended, type, until } = talk(
    { ...heldModel(200), chatTemplate: "{% for m in messages %}{{ m.content }}{% endfor %}" },
    {},
  );
  type("Hello\r");
  await until("(cut off after 195 tokens; the context of 200 tokens is full)");
  type("/exit\r");
  expect(await ended).toBe(0);
  expect(model.generator.options[0].maxNewTokens).toBe(195);
});

test("messages of several lines", () => {
  const messages = (...lines: string[]) => {
    const reader = new MessageReader();
    return [...lines.map((line) => reader.push(line)), reader.end()].filter((text) => text !== undefined);
  };
  expect(messages("a\\", "b", "c")).toEqual(["a\nb", "c"]);
  expect(messages('"""', "a", "", "b\\", '"""', "c")).toEqual(["a\n\nb\\", "c"]);
  expect(messages('"""a', 'b"""')).toEqual(["a\nb"]);
  expect(messages('"""a"""', 'say """ here')).toEqual(["a", 'say """ here']);
  expect(messages('"""a', "b")).toEqual(["a\nb"]); // the end of the input ends it
});

test("a full context is told: which messages are forgotten, and one that is too long is refused", async () => {
  const { ended, type, told, until } = talk(tinyServedModel({ contextLength: 64 }));
  for (let i = 1; i <= 3; i++) {
    type(`message ${i}\r`);
    await until("cut off", i);
  }
  await until("(the context of 64 tokens is full: the oldest 2 messages are forgotten)");
  type(`${"long ".repeat(20)}\r`);
  await vi.waitFor(
    () =>
      expect(told()).toMatch(
        /^error: chat: expected a message that fits the context of 64 tokens; received one of \d+/,
      ),
    10_000,
  );
  type("short\r"); // the talk goes on
  await until("cut off", 4);
  type("/exit\r");
  expect(await ended).toBe(0);
});

test("over pipes each message is answered in turn; the output is the answers alone", async () => {
  const { ended, type, end, shown, told } = talk(heldModel(400), { maxNewTokens: 3 }, { isTerminal: false });
  type('one\n\ntwo\\\ngoes on\n/clear\n"""\nthree\n');
  end();
  expect(await ended).toBe(0);
  expect(shown()).toBe(' !"\n !"\n !"\n');
  expect(told()).toMatch(/forgotten/);
});

test("over pipes an answer that fails is told, the next is given, and the exit code says so", async () => {
  const { ended, type, end, shown, told } = talk(tinyServedModel({ contextLength: 64 }), undefined, {
    isTerminal: false,
  });
  type(`${"long ".repeat(20)}\nshort\n`);
  end();
  expect(await ended).toBe(1);
  expect(told()).toMatch(/^error: chat: expected a message that fits the context of 64 tokens; received one of \d+/);
  expect(shown().trim()).not.toBe("");
});

test("/retry, /undo and /edit change what was said last", async () => {
  const { model, ended, type, shown, until } = talk(heldModel(400), { maxNewTokens: 3 });
  type("/undo\r");
  await until("nothing was said yet");
  type("one\r");
  await until("cut off");
  type("/retry\r");
  await until("cut off", 2);
  type("/edit two\r");
  await until("cut off", 3);
  type("/edit\r");
  await vi.waitFor(() => expect(shown().split("cut off")[3]).toMatch(/two/), 10_000); // it is in the line again
  type("!\r");
  await until("cut off", 4);
  type("/undo\rthree\r");
  await until("cut off", 5);
  type("/exit\r");
  expect(await ended).toBe(0);
  const asked = await Promise.all(model.generator.prompts.map((ids) => textOf(model, ids)));
  expect(asked).toEqual(["one", "one", "two", "two!", "three"].map((text) => `user: ${text}\nassistant:`));
});

test("/set, /tokens, /model, and what an answer took", async () => {
  const { model, ended, type, shown, until } = talk(heldModel(400), { maxNewTokens: 3, temperature: 0 });
  type("/set temperature 3\r");
  await until("/set temperature: expected a number from 0 to 2; received 3");
  type("/set heat 1\r");
  await until("expected one of temperature, ");
  type("/set temperature 0.5\r/set max_tokens 5\r/set top-p 0.9\r/set stats on\r/set\r");
  await until("temperature          0.5");
  type("Hello\r");
  await until("cut off after 5 tokens");
  await until("5 tokens in ");
  expect(model.generator.options[0]).toMatchObject({ maxNewTokens: 5, temperature: 0.5, topP: 0.9 });
  expect(shown()).toMatch(/\(5 tokens in \d+ ms, [\d.]+ tokens\/s, the first after \d+ ms, 22 in the prompt\)/);
  type("/set temperature default\r/tokens\r");
  await until(" tokens of 400");
  type("/image a.png\r");
  await until("this model takes no images");
  type("/model nobody\r");
  await until("error: model: expected other");
  type("/model other\r");
  await until("model: other");
  type("/exit\r");
  expect(await ended).toBe(0);
});

test("/load goes on with what /save wrote, and refuses anything else; /export writes Markdown", async () => {
  const { model, ended, type, until } = talk(heldModel(400), { maxNewTokens: 3 });
  const [file, text, damaged] = ["kept.json", "kept.md", "damaged.json"].map((name) => join(folder, name));
  await writeFile(damaged, '[{"role":"tool","content":1}]');
  type(`one\r/save ${file}\r/export ${text}\r/clear\r/load ${damaged}\r`);
  await until("expected a list of messages, as /save writes it");
  type(`/load ${file}\r`);
  await until("loaded 2 messages");
  type("two\r");
  await until("cut off", 2);
  type("/exit\r");
  expect(await ended).toBe(0);
  expect(await textOf(model, model.generator.prompts[1])).toBe('user: one\nassistant: !"\nuser: two\nassistant:');
  expect(await readFile(text, "utf8")).toBe('## You\n\none\n\n## Model\n\n!"\n');
});

test("what was typed is there again in the next talk, in a file of one's own; Tab completes", async () => {
  const history = join(folder, "state", "history");
  const first = talk(heldModel(400), { maxNewTokens: 3 }, { history });
  first.type("one\r");
  await first.until("cut off");
  first.type(CTRL_D);
  await first.ended;
  expect((await stat(history)).mode & 0o777).toBe(process.platform === "win32" ? 0o666 : 0o600);
  const { model, ended, type, until } = talk(heldModel(400), { maxNewTokens: 3 }, { history });
  await until(">>> ");
  type(`${UP} more\r`);
  await until("cut off");
  type(`/sys${TAB}`);
  await until("/system");
  type(" Be kind.\r");
  await until("system prompt: Be kind.");
  type(CTRL_D);
  expect(await ended).toBe(0);
  expect(await textOf(model, model.generator.prompts[0])).toBe("user: one more\nassistant:");
  expect(await readFile(history, "utf8")).toBe("one\none more\n/system Be kind.\n");
});

const THOUGHTS = "{% for m in messages %}{{ m.content }}{% endfor %}{{ '<think>' if false }}{{ '</think>' if false }}";

test("thoughts are dimmed, or told apart without styles; over pipes they are left out, and no message has them", async () => {
  const answered = async (isTerminal: boolean) => {
    const { model, ended, type, end, shown } = talk(scriptedModel(THOUGHTS), {}, { isTerminal });
    model.generator.text = "<think>Hm.</think>Yes.";
    type("one\r");
    await vi.waitFor(() => expect(shown()).toContain("Yes."), 10_000);
    type("two\r");
    await vi.waitFor(() => expect(shown().split("Yes.")).toHaveLength(3), 10_000);
    end();
    expect(await ended).toBe(0);
    expect(await textOf(model, model.generator.prompts[1])).toBe("oneYes.two");
    return shown();
  };
  expect(await answered(true)).toContain("\u001b[2mHm.\u001b[22m\n\nYes.\n");
  vi.stubEnv("NO_COLOR", "1");
  expect(await answered(true)).toContain("(thinking)\nHm.\n(answer)\nYes.\n");
  vi.unstubAllEnvs();
  expect(await answered(false)).toBe("Yes.\nYes.\n");
});
