import { expect, test } from "vitest";
import { OptionError } from "../../base/index.ts";
import { detectReasoning, isReasoningOpen } from "./reasoning.ts";
import { ReasoningBudget } from "./reasoning-budget.ts";

test("marks of thoughts are those of the template, or else of the added tokens", () => {
  expect(detectReasoning("{{ '<think>\\n' }}...</think>")?.end).toBe("</think>");
  expect(detectReasoning("[THINK]x[/THINK]")?.begin).toBe("[THINK]");
  expect(detectReasoning("{{ messages }}")).toBeUndefined();
  expect(detectReasoning("{{ messages }}", ["<think>", "</think>"])?.begin).toBe("<think>");
  expect(detectReasoning(undefined)).toBeUndefined();
});

test("thoughts are open where the prompt ends with their mark, whatever people wrote before", () => {
  const format = { begin: "<think>", end: "</think>" };
  expect(isReasoningOpen("<｜Assistant｜><think>\n", format)).toBe(true);
  expect(isReasoningOpen("assistant\n<think>\n\n</think>\n\n", format)).toBe(false);
  expect(isReasoningOpen("user: what is <think>?\nassistant\n", format)).toBe(false);
  expect(isReasoningOpen("assistant\n<think>\nI was", format, "<think>\nI was")).toBe(true);
  expect(isReasoningOpen("assistant\n<think>a</think>b", format, "<think>a</think>b")).toBe(false);
});

/** What is forced after each token of an answer in which the model does as it is told. */
function forcedIn(budget: ReasoningBudget, ids: readonly number[]): number[][] {
  return [[...budget.forced], ...ids.map((id) => [...budget.push(id)])];
}

const marks = { beginIds: [7], endIds: [8, 9] };

test("a budget ends thoughts after so many tokens", () => {
  expect(forcedIn(new ReasoningBudget({ ...marks, budget: 2, isOpen: true }), [1, 2, 8, 9, 1, 7, 1, 1, 1])).toEqual([
    [],
    [],
    [8, 9],
    [9],
    [],
    [],
    [],
    [],
    [],
    [],
  ]);
});

test("thoughts that the model opens itself are counted from there, and others not at all", () => {
  expect(forcedIn(new ReasoningBudget({ ...marks, budget: 1 }), [0, 7, 1, 8, 9])).toEqual([
    [],
    [],
    [],
    [8, 9],
    [9],
    [],
  ]);
  expect(forcedIn(new ReasoningBudget({ ...marks, budget: 0 }), [1, 2, 3, 4, 5, 7, 1]).flat()).toEqual([]);
});

test("a budget of 0 ends thoughts before they begin", () => {
  expect(new ReasoningBudget({ ...marks, budget: 0, isOpen: true }).forced).toEqual([8, 9]);
  expect(forcedIn(new ReasoningBudget({ ...marks, budget: 0 }), [7])).toEqual([[], [8, 9]]);
});

test("what leads to the end comes before it, and an end that has begun is made whole", () => {
  const options = { ...marks, budget: 2, isOpen: true, leadIds: [5] };
  expect(forcedIn(new ReasoningBudget(options), [1, 2])).toEqual([[], [], [5, 8, 9]]);
  expect(forcedIn(new ReasoningBudget(options), [1, 8, 9, 1])).toEqual([[], [], [9], [], []]);
  expect(forcedIn(new ReasoningBudget(options), [8, 9, 1, 1, 1]).flat()).toEqual([]);
});

test("tokens that were not those asked for are asked for again", () => {
  expect(forcedIn(new ReasoningBudget({ ...marks, budget: 1, isOpen: true }), [1, 2, 3])).toEqual([
    [],
    [8, 9],
    [8, 9],
    [8, 9],
  ]);
});

test("a budget is a whole number", () => {
  expect(() => new ReasoningBudget({ ...marks, budget: -1 })).toThrow(OptionError);
  expect(() => new ReasoningBudget({ ...marks, budget: 1.5 })).toThrow("budget to be an integer of at least 0");
});
