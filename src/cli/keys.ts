/** `kindling keys`: who may use a server, and how much. */
import type { Command } from "commander";
import { addKey, type KeyLimits, readKeyFile, revokeKey } from "../keys/index.ts";
import { collect, integer } from "./parse-values.ts";
import { dropUndefined } from "./sampling.ts";
import { tableOf } from "./terminal.ts";

interface KeyFileFlags {
  file: string;
  audit?: string;
}

interface LimitFlags {
  requestsPerMinute?: number;
  concurrency?: number;
  tokensPerMinute?: number;
  tokensPerDay?: number;
  model?: string[];
}

const withFile = (command: Command): Command =>
  command.option("--file <file>", "file of the keys, for kindling serve --keys", "keys.json");
const AUDIT = ["--audit <file>", "append a line of JSON for the change"] as const;

/** The log of changes, opened before there is one to write: a new key must not be lost by what fails. */
async function auditLog(path: string | undefined) {
  if (path === undefined) return undefined;
  const { AuditLog } = await import("../serve/index.ts");
  return new AuditLog(path);
}

export function addKeys(program: Command): void {
  const keys = program
    .command("keys")
    .description("API keys for kindling serve: a file has their hashes, and what each may use.")
    .addHelpText(
      "after",
      `
Examples:
  kindling keys add app --requests-per-minute 60 --tokens-per-day 1000000
  kindling keys list
  kindling keys revoke app
  kindling serve sotu --keys keys.json          # a change of the file counts within a second`,
    );
  withFile(keys.command("add").argument("<name>", "who gets the key; logs have this name"))
    .description("Make a new key and print it, this once; the file has its hash alone.")
    .option("--requests-per-minute <n>", "most requests in a minute (default: no limit)", integer)
    .option("--concurrency <n>", "most requests at the same time (default: no limit)", integer)
    .option("--tokens-per-minute <n>", "most tokens of prompts and answers in a minute (default: no limit)", integer)
    .option("--tokens-per-day <n>", "most tokens from midnight to midnight, UTC (default: no limit)", integer)
    .option("--model <name>", "a model that it may use (repeatable; default: all)", collect)
    .option(...AUDIT)
    .addHelpText("after", "\nExamples:\n  kindling keys add app --file keys.json --concurrency 4 --model sotu")
    .action(async (name: string, flags: KeyFileFlags & LimitFlags) => {
      const { file, audit, requestsPerMinute, concurrency, tokensPerMinute, tokensPerDay, model: models } = flags;
      const limits = dropUndefined({ requestsPerMinute, concurrency, tokensPerMinute, tokensPerDay, models });
      const log = await auditLog(audit);
      const key = await addKey(file, name, limits);
      log?.write({ event: "key_added", key: name });
      process.stderr.write(`the key of ${name}, which is kept nowhere else:\n`);
      process.stdout.write(`${key}\n`);
    });
  withFile(keys.command("list"))
    .description("Show the keys of a file: name, age, limits.")
    .option("--json", "as JSON, without the hashes")
    .addHelpText("after", "\nExamples:\n  kindling keys list --file keys.json --json")
    .action(async ({ file, json }: KeyFileFlags & { json?: boolean }) => {
      const list = (await readKeyFile(file)).map(({ name, created, limits }) => ({ name, created, limits }));
      const rows = list.map(({ name, created, limits }) => [name, created.slice(0, 10), limitsText(limits)]);
      const table = tableOf([["name", "created", "limits"], ...rows]);
      process.stdout.write(json ? `${JSON.stringify(list, null, 2)}\n` : table);
    });
  withFile(keys.command("revoke").argument("<name>", "whose key"))
    .description("Take a key out of a file; a server that runs refuses it within a second.")
    .option(...AUDIT)
    .addHelpText("after", "\nExamples:\n  kindling keys revoke app --file keys.json")
    .action(async (name: string, { file, audit }: KeyFileFlags) => {
      const log = await auditLog(audit);
      await revokeKey(file, name);
      log?.write({ event: "key_revoked", key: name });
      process.stdout.write(`revoked ${name}\n`);
    });
}

function limitsText({ requestsPerMinute, concurrency, tokensPerMinute, tokensPerDay, models }: KeyLimits): string {
  const parts = [
    requestsPerMinute && `${requestsPerMinute} requests/min`,
    concurrency && `${concurrency} at once`,
    tokensPerMinute && `${tokensPerMinute} tokens/min`,
    tokensPerDay && `${tokensPerDay} tokens/day`,
    models && `models ${models.join(" ")}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ") || "none";
}
