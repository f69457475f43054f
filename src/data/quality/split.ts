import { createHash } from "node:crypto";
import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import { selectRows } from "../rows/combine.ts";
import { canonicalJson, type Rows } from "../rows/rows.ts";

/** Names of the parts of a split. */
export type SplitName = "train" | "validation" | "test";

/** How rows are split. */
export interface SplitOptions<R> {
  /** Share of rows for validation. @default 0.1 */
  validation?: number;
  /** Share of rows for the test. @default 0 */
  test?: number;
  /** Another seed is another split. @default 0 */
  seed?: number;
  /**
   * What stays together: rows of the same text are in the same part, as those of one author or one document must be.
   * @default the content of the row, so that equal rows stay together
   */
  groupOf?: (row: R) => string;
}

/** 2^48, as many values as the bytes of a sum that decide have. */
const VALUES = 2 ** 48;

/**
 * Which part a group belongs to: by a hash of it, so that it stays where it is whatever rows come and go.
 * @throws OptionError for shares that leave nothing to train on
 */
export function splitOf(
  group: string,
  options: Pick<SplitOptions<never>, "validation" | "test" | "seed"> = {},
): SplitName {
  const { validation = 0.1, test = 0, seed = 0 } = options;
  const place = createHash("sha256").update(`${seed} ${group}`).digest().readUIntBE(0, 6) / VALUES;
  if (place < test) return "test";
  return place < test + validation ? "validation" : "train";
}

/** @throws OptionError for what cannot be */
export function checkShares(
  where: string,
  { validation = 0.1, test = 0, seed = 0 }: Omit<SplitOptions<never>, "groupOf">,
): void {
  const rules = { validation: numberRules.share, test: numberRules.share, seed: numberRules.integer };
  requireNumbers(where, { validation, test, seed }, rules);
  if (validation + test < 1) return;
  throw new OptionError({
    where,
    expected: "shares of validation and test below 1 together",
    received: `${validation} and ${test}`,
    fix: "leave rows to train on",
  });
}

/**
 * Rows in parts for training, validation and test, by a hash of the content or of a group: a row stays in its part when
 * others are added, and the parts have nothing in common that `groupOf` says belongs together. Shares hold on average.
 * All rows are read once.
 * @throws OptionError for wrong options
 */
export async function splitRows<R>(rows: Rows<R>, options: SplitOptions<R> = {}): Promise<Record<SplitName, Rows<R>>> {
  checkOptions("splitRows", options, ["validation", "test", "seed", "groupOf"]);
  const { groupOf = canonicalJson as (row: R) => string, ...shares } = options;
  checkShares("splitRows", shares);
  const parts: Record<SplitName, number[]> = { train: [], validation: [], test: [] };
  let index = 0;
  for await (const row of rows) parts[splitOf(groupOf(row), shares)].push(index++);
  return {
    train: selectRows(rows, parts.train),
    validation: selectRows(rows, parts.validation),
    test: selectRows(rows, parts.test),
  };
}
