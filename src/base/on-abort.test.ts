import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { onAbort } from "./on-abort.ts";

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
