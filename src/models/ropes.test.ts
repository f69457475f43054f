/**
 * Rotary parameters of config.json in their many forms: the angles of transformers, and its warnings
 * (golden/make_ropes.py).
 */
import { describe, expect, test } from "vitest";
import golden from "../../golden/ropes.json" with { type: "json" };
import type { Warning } from "../base/index.ts";
import { RotaryEmbedding } from "../nn/index.ts";
import { expectClose } from "../testing/close.ts";
import { fromConfig } from "./index.ts";

interface Case {
  json: Record<string, unknown>;
  refused?: boolean;
  unused: string[];
  warnings: string[];
  rotary: Record<string, { frequencies: number[]; scaling: number }>;
}

/** The rotary embeddings that a model holds, in the order of its fields. */
function rotaryOf(holder: object, seen = new Set<object>()): RotaryEmbedding[] {
  if (seen.has(holder) || ArrayBuffer.isView(holder)) return [];
  seen.add(holder);
  if (holder instanceof RotaryEmbedding) return [holder];
  return Object.values(holder).flatMap((value) =>
    value !== null && typeof value === "object" ? rotaryOf(value, seen) : [],
  );
}

/** Files that are read although transformers 5 refuses them: Phi-3's first ones, which earlier versions read. */
const readHere = (json: Case["json"]) => JSON.stringify(json.rope_scaling ?? {}).includes('"su"');
/**
 * Configs of models that fail in transformers when they run: a part of each head turns by scaled angles, and the rest
 * is missing.
 */
const failsLater = ({ model_type, ...json }: Case["json"]) => {
  const { rope_type: type, partial_rotary_factor: part = json.partial_rotary_factor ?? 1 } = (json.rope_parameters ??
    {}) as Case["json"];
  return part !== 1 && type !== "default" && ["qwen3", "mistral"].includes(String(model_type));
};
/** Longrope says so of every file without a factor; it is no fault of theirs. */
const isAdvice = (warning: string) => warning.startsWith("This model config has set");

describe.each(golden.cases as unknown as Case[])("$json", ({ json, refused, unused, warnings, rotary }) => {
  test("angles and warnings", async () => {
    const heard: Warning[] = [];
    const task = json.model_type === "modernbert" ? "masked-lm" : "causal-lm";
    const make = () => fromConfig(json, { task, onWarning: (warning) => heard.push(warning) });
    if ((refused && !readHere(json)) || failsLater(json)) {
      expect(make).toThrow(/config, rope_\w+/);
      return;
    }
    const model = make();
    const notes = heard.flatMap((warning) => warning.notes).filter((note) => note.includes("rope_"));
    const named = notes.flatMap((note) => /does not use (.*)/.exec(note)?.[1].split(", ") ?? []);
    expect(named.sort()).toEqual(unused ?? []);
    const odd = notes.filter((note) => !note.includes("does not use"));
    expect(odd.length > 0).toBe((warnings ?? []).some((warning) => !isAdvice(warning)));
    const ropes = rotaryOf(model);
    for (const [i, expected] of Object.values(rotary ?? {}).entries()) {
      expectClose("frequencies", ropes[i].inverseFrequencies, expected.frequencies, 1e-6);
      expect(ropes[i].attentionFactor).toBeCloseTo(expected.scaling, 6);
    }
    model.dispose();
  });
});
