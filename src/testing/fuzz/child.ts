/**
 * Runs inputs of one target in a process of its own, which may hang or end. usage: child GOLDEN SCRATCH TARGET FIRST
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { KindlingError } from "../../base/index.ts";
import { Random } from "./random.ts";
import { fuzzTargets } from "./targets.ts";

/** Time of the processor, so that a busy machine makes no faults. */
const MOST_SECONDS = 5;
const MOST_BYTES = 2 ** 31;

const [golden, scratch, name, first] = process.argv.slice(2);
const target = fuzzTargets(golden, scratch)[name];
const tell = (message: object) => new Promise<void>((done) => process.send?.(message, () => done()));

for (let i = Number(first); i < target.count; i++) {
  const input = target.make(new Random(name, i));
  writeFileSync(join(scratch, "input"), input);
  await tell({ begun: i });
  const before = process.cpuUsage();
  let fault: string | undefined;
  try {
    await target.run(input);
  } catch (error) {
    if (!(error instanceof KindlingError))
      fault = (error as Error)?.stack?.split("\n").slice(0, 6).join("\n") ?? String(error);
  }
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  if (seconds > (target.seconds ?? MOST_SECONDS)) fault ??= `took ${seconds} s of the processor`;
  if (process.memoryUsage().rss > MOST_BYTES) fault ??= "took more than 2 GiB";
  if (fault !== undefined) await tell({ fault, i });
}
await tell({ ended: true });
process.exit(0);
