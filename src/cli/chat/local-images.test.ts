/** A talk about images with a model that is loaded here: answers are those of the library's pipeline. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { pipeline } from "../../pipelines/index.ts";
import { goldenModels } from "../../testing/golden-model.ts";
import { heldModel } from "../../testing/served-model.ts";
import { visionModel } from "../../testing/vision-model.ts";
import type { TalkMessage } from "./conversation.ts";
import { LocalModel } from "./local-model.ts";

const file = `${goldenModels}/../images/tall.png`;
const image = `data:image/png;base64,${readFileSync(file).toString("base64")}`;

async function answerOf(model: LocalModel, messages: TalkMessage[]): Promise<string> {
  const { signal } = new AbortController();
  let answer = "";
  for await (const event of model.answer({ system: undefined, messages, settings: {}, signal }))
    if (event.type === "text") answer += event.text;
  return answer;
}

test.each(["llava", "qwen2-vl"] as const)("%s", async (name) => {
  const vision = await visionModel(name);
  const options = { maxNewTokens: 8, temperature: 0 };
  const talk = new LocalModel(vision, options, async () => heldModel());
  const written = await pipeline("image-text-to-text", `${goldenModels}/../pipelines/models/${name}`);
  const expected = async (chat: object[]) => {
    const [result] = await written.run(chat as never, { ...options, returnFullText: false });
    return (result as { generated_text: string }).generated_text;
  };
  const asked = [
    { type: "image", path: file },
    { type: "text", text: "What?" },
  ];
  expect(talk.takesImages).toBe(true);
  const first = await answerOf(talk, [{ role: "user", content: "What?", images: [image] }]);
  expect(first).toBe(await expected([{ role: "user", content: asked }]));
  const messages: TalkMessage[] = [
    { role: "user", content: "What?", images: [image] },
    { role: "assistant", content: first },
    { role: "user", content: "And?" },
  ];
  expect(await answerOf(talk, messages)).toBe(
    await expected([
      { role: "user", content: asked },
      ...messages.slice(1).map(({ role, content }) => ({ role, content })),
    ]),
  );
  expect(await talk.countTokens({ system: undefined, settings: {}, messages })).toBeGreaterThan(20);
  await talk.use("held");
  expect(talk.takesImages).toBe(false);
  expect(await talk.countTokens({ system: undefined, settings: {}, messages: messages.slice(0, 1) })).toBeGreaterThan(
    5,
  );
  talk.dispose();
  written.dispose();
  vision.dispose();
});
