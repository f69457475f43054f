import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { onAbort, unlessAborted } from "./on-abort.ts";

test("all who wait with a signal are called, by one listener, which goes with the last of them", () => {
  const { signal } = new AbortController();
  const stops = Array.from({ length: 12 }, () => onAbort(signal, () => {}));
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  for (const stop of stops) stop();
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
  stops[0]();

  const controller = new AbortController();
  const called: string[] = [];
  const same = () => called.push("same");
  const stopSame = onAbort(controller.signal, same);
  onAbort(controller.signal, same);
  onAbort(controller.signal, () => called.push("other"));
  stopSame();
  controller.abort();
  expect(called).toEqual(["same", "other"]);
});

test("what nobody waits for may fail unseen, before and after the signal", async () => {
  const [before, controller] = [AbortSignal.abort(new Error("gone")), new AbortController()];
  await expect(unlessAborted(Promise.reject(new Error("late")), before)).rejects.toThrow("gone");
  let fail = (_: Error) => {};
  const work = unlessAborted(new Promise((_, reject) => (fail = reject)), controller.signal);
  controller.abort(new Error("gone"));
  await expect(work).rejects.toThrow("gone");
  fail(new Error("late"));
  expect(await unlessAborted(Promise.resolve(3), new AbortController().signal)).toBe(3);
});
