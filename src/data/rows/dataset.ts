import { stat } from "node:fs/promises";
import { checkOptions } from "../../base/index.ts";
import { exists } from "../../files/index.ts";
import { type HubOptions, isRemoteName, pull } from "../../hub/index.ts";
import { isMediaFolder } from "./media-folder.ts";
import { type OpenRowsOptions, openRows } from "./open-rows.ts";
import type { Rows } from "./rows.ts";
import { splitFilesOf } from "./splits.ts";

/** Which data set is opened, and how its files are read. */
export interface OpenDatasetOptions {
  /**
   * One of the configurations that the card of the data set names. @default the one that is the default, or the
   * first
   */
  configuration?: string;
  /** How a repository is fetched. */
  hub?: HubOptions;
  /** How files are read. */
  rows?: OpenRowsOptions;
}

/** What of a repository is fetched. */
const DATA_FILES = ["jsonl", "ndjson", "json", "csv", "tsv", "parquet", "arrow", "feather", "txt"];
const include = ["README.md", ...DATA_FILES.flatMap((ending) => [`*.${ending}`, `*.${ending}.gz`])];

/**
 * The splits of a data set by name: of a file ("train" alone), of a folder as Hugging Face's hub lays it out, or of a
 * repository of data sets such as "owner/name", which is fetched into the cache that Python shares.
 * @throws as `openRows`, and as `pull` for what cannot be fetched
 */
export async function openDataset(
  name: string,
  options: OpenDatasetOptions = {},
): Promise<Readonly<Record<string, Rows>>> {
  checkOptions("openDataset", options, ["configuration", "hub", "rows"]);
  const { configuration, hub, rows = {} } = options;
  const isRepository = !(await exists(name)) && (await isRemoteName(name));
  const path = isRepository ? await pull(name, { include, ...hub, kind: "dataset" }) : name;
  if ((await exists(path)) && (await stat(path)).isDirectory() && !(await isMediaFolder(path))) {
    const splits: Record<string, Rows> = {};
    for (const [split, files] of Object.entries(await splitFilesOf(path, configuration)))
      splits[split] = await openRows(files, rows);
    return splits;
  }
  return { train: await openRows(path, rows) };
}
