import { jsonFormats } from "./json-formats.ts";
import { namedFormats } from "./named-formats.ts";
import { tagFormats } from "./tag-formats.ts";
import type { ToolFormat, ToolFormatName } from "./tool-format.ts";

/** How families of models write calls, by name. */
export const toolFormats: ReadonlyMap<ToolFormatName, ToolFormat> = new Map(
  [...jsonFormats, ...namedFormats, ...tagFormats].map((format) => [format.name, format]),
);
