#!/usr/bin/env node
import { KindlingError } from "../base/index.ts";
import { isSystemError, systemError } from "../files/index.ts";
import { onOutputError } from "./interrupt.ts";
import { messageOf } from "./option-names.ts";
import { createProgram } from "./program.ts";

process.stdout.on("error", onOutputError);
process.stderr.on("error", onOutputError);

try {
  await createProgram().parseAsync();
} catch (error) {
  const known = isSystemError(error) ? systemError(error.path ?? "kindling", "the system to do it", error) : error;
  process.stderr.write(
    `${known instanceof KindlingError ? `error: ${messageOf(known)}` : known instanceof Error ? known.stack : String(known)}\n`,
  );
  process.exitCode = 1;
}
