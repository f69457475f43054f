import type { Command } from "commander";
import { OptionError } from "../base/index.ts";
import type { UsageQuery, UsageTotal } from "../gateway/index.ts";
import { readKeyFile } from "../keys/index.ts";
import { abortOnInterrupt } from "./interrupt.ts";
import { serverOutput } from "./json-output.ts";
import { choice } from "./option-names.ts";
import { integer } from "./parse-values.ts";
import { logOption } from "./serve-operations.ts";
import { closeWhenInterrupted } from "./server-end.ts";

const importGateway = () => import("../gateway/index.ts");

const CONFIG = "a YAML file of upstreams, see docs/gateway.md";

interface GatewayFlags {
  port?: number;
  host?: string;
  log?: "text" | "json";
}

/** Declares `kindling gateway`. */
export function addGateway(program: Command): void {
  const gateway = program
    .command("gateway")
    .argument("<config>", CONFIG)
    .description("Serve one OpenAI-compatible endpoint over several upstreams: routing, retries, caches, budgets.")
    .option("--port <n>", "port; 0 takes a free one (default: the configuration's)", integer)
    .option("--host <address>", "address to listen on (default: the configuration's)")
    .addOption(logOption())
    .addHelpText(
      "after",
      "\nExamples:\n  kindling gateway gateway.yaml\n  kindling gateway check gateway.yaml\n  kindling gateway usage gateway.yaml --by model --since 2026-11-01",
    )
    .action((config, flags) => gatewayCommand(config, flags));

  gateway
    .command("check")
    .argument("<config>", CONFIG)
    .description(
      "Read a configuration with its secrets and prices, and show what it serves; nothing is asked of upstreams.",
    )
    .action(checkCommand);

  gateway
    .command("usage")
    .argument("<config>", CONFIG)
    .description("Show what keys, models or days have used, from the store of a configuration.")
    .addOption(choice("--by <what>", "a line for each", ["key", "model", "day"]).default("key"))
    .option("--since <day>", "first day, as 2026-11-01")
    .option("--until <day>", "last day")
    .option("--json", "as JSON")
    .action(usageCommand);
}

/** `kindling gateway`: serves until Ctrl-C. */
async function gatewayCommand(path: string, { log, port, host }: GatewayFlags): Promise<void> {
  const output = await serverOutput(log);
  const { readGatewayConfig, serveGateway } = await importGateway();
  const config = await readGatewayConfig(path);
  const server = await serveGateway(config, {
    ...(port !== undefined && { port }),
    ...(host !== undefined && { host }),
    ...(log && { log: output.log, logFormat: log }),
    onReload: (message, isRead) => output.say(isRead ? "info" : "warn", message),
  });
  const interruptions = abortOnInterrupt(() => {}); // before it is said that Ctrl-C ends
  const serving = `the gateway is at ${server.url}/v1, with ${server.models.join(", ")}`;
  output.say("info", serving, `\n${serving}\n  Ctrl-C ends.`);
  await closeWhenInterrupted(server, interruptions, output);
}

/** `kindling gateway check` */
async function checkCommand(path: string): Promise<void> {
  const { readGatewayConfig } = await importGateway();
  const { upstreams, keys, prices, store, unknownPrices } = await readGatewayConfig(path);
  if (keys) await readKeyFile(keys.file);
  for (const { name, kind, baseUrl, models } of upstreams)
    process.stdout.write(`${name}: ${kind} at ${baseUrl.href}, ${[...models.keys()].join(", ")}\n`);
  const usage = store === undefined ? "in memory, lost at the end" : "sqlite" in store ? store.sqlite : "PostgreSQL";
  process.stdout.write(
    `keys: ${keys?.file ?? "none, anybody may use it"}\nprices: ${prices ? prices.currency : "none"}\nusage: ${usage}\n`,
  );
  if (Object.keys(keys?.budgets ?? {}).length === 0 || unknownPrices === "allow") return;
  for (const { name, models } of upstreams)
    for (const [shown, model] of models)
      if (!prices?.find([`${name}/${model}`, model, shown]))
        process.stdout.write(`${name}/${model} has no price: keys with a budget are refused '${shown}'\n`);
}

/** `kindling gateway usage` */
async function usageCommand(path: string, { json = false, ...query }: UsageQuery & { json?: boolean }): Promise<void> {
  const { isDay, openStore, readGatewayConfig } = await importGateway();
  for (const [name, value] of Object.entries({ since: query.since, until: query.until })) {
    if (value === undefined || isDay(value)) continue;
    const [expected, fix] = [`--${name} to be a day, as 2026-11-01`, "write year, month and day"];
    throw new OptionError({ where: "gateway usage", expected, received: value, fix });
  }
  const config = await readGatewayConfig(path);
  const store = await openStore(config.store);
  const totals = await store.totals(query).finally(() => store.close());
  process.stdout.write(json ? `${JSON.stringify(totals, null, 2)}\n` : usageTable(query.by, totals));
}

function usageTable(by: string, totals: readonly UsageTotal[]): string {
  const head = [by, "requests", "errors", "cache hits", "input", "cached", "output", "cost", "unpriced"];
  const rows = totals.map((total) => [
    total.name,
    ...[total.requests, total.errors, total.cacheHits, total.inputTokens, total.cachedTokens, total.outputTokens].map(
      String,
    ),
    `${total.cost.toFixed(6)} ${total.currency}`.trim(),
    String(total.unpriced),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join("  ")
      .trimEnd();
  return `${[head, ...rows].map(line).join("\n")}\n`;
}
