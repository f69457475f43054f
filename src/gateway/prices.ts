import { checkSchema, OptionError } from "../base/index.ts";
import { type PriceData, priceSchema } from "./schema.ts";
import type { TokenUsage } from "./usage.ts";

/**
 * Money in billionths of the table's currency, a whole number: sums have no rounding, and 9 million units fit a number.
 */
export type Nanos = number;
/** Parts of a unit of currency in which money is counted: whole numbers add up exactly. */
export const NANOS = 1e9;

/** What a model's tokens cost, in nanos each. */
export interface ModelPrice {
  input: number;
  cachedInput: number;
  output: number;
  maxOutputTokens: number | undefined;
}

/** What an answer may have where neither the request nor the table says it. */
const MAX_OUTPUT_TOKENS = 4096;
const MILLION = 1e6;

/** Prices of models, by "upstream/model" or by the upstream's or the public name of the model. */
export class PriceTable {
  readonly currency: string;
  private readonly prices = new Map<string, ModelPrice>();

  /** @throws OptionError for a table that is not sound, and a currency without a rate */
  constructor(data: unknown, where = "prices") {
    const table: PriceData = checkSchema(where, priceSchema, data, "docs/gateway.md");
    this.currency = table.currency;
    for (const [model, price] of Object.entries(table.models)) {
      const unit = (NANOS / MILLION) * rateOf(where, model, table);
      this.prices.set(model, {
        input: price.input * unit,
        cachedInput: (price.cachedInput ?? price.input) * unit,
        output: price.output * unit,
        maxOutputTokens: price.maxOutputTokens,
      });
    }
  }

  /** The price under the first of these names that has one. @param names in the order in which they are looked up */
  find(names: readonly string[]): ModelPrice | undefined {
    for (const name of names) {
      const price = this.prices.get(name);
      if (price) return price;
    }
  }
}

function rateOf(where: string, model: string, { models, currency, rates }: PriceData): number {
  const { currency: other = currency } = models[model];
  if (other === currency) return 1;
  if (Object.hasOwn(rates, other)) return rates[other];
  throw new OptionError({
    where: `${where}, models.${model}`,
    expected: `a rate for ${other}`,
    received: `rates for ${Object.keys(rates).join(", ") || "no currency"}`,
    fix: `write what one ${other} is worth in ${currency} under rates`,
  });
}

/** What tokens cost, in whole nanos. */
export function costOf(price: ModelPrice, { input, cached, output }: TokenUsage): Nanos {
  return Math.round((input - cached) * price.input + cached * price.cachedInput + output * price.output);
}

/** The most that a request can cost, as far as it can be told beforehand. */
export function mostCost(
  price: ModelPrice,
  inputTokens: number,
  maxOutput: number | undefined,
  answers: number,
): Nanos {
  const output = (maxOutput ?? price.maxOutputTokens ?? MAX_OUTPUT_TOKENS) * answers;
  return costOf(price, { input: inputTokens, cached: 0, output });
}
