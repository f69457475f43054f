import { afterEach } from "vitest";

/** A list of what is closed after each test of a file, the last first. */
export function closedAfterEach(): { close: () => unknown }[] {
  const closing: { close: () => unknown }[] = [];
  afterEach(async () => {
    for (const one of closing.splice(0).reverse()) await one.close();
  });
  return closing;
}
