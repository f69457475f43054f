/** OpenAI's API of files: what batches read and write. */
import type { Context } from "hono";
import type { DataFolder } from "../data-folder.ts";
import { RequestError } from "../errors.ts";
import { type App, type Environment, ownerOf } from "../exchange.ts";
import { type Fields, invalid, isText, readFields, rule } from "../fields.ts";
import { listPage } from "../list-page.ts";
import { limitedBodies } from "../operations/index.ts";
import { formOf } from "../tasks/form.ts";
import type { FileRecord } from "./store.ts";

/** Of an upload, which is in memory while it comes. */
const MAX_FILE_BYTES = 64 << 20;
/** Of what is around it in the request. */
const FORM_BYTES = 1 << 16;
const MAX_NAME = 255;
const PAGE = { most: 10_000, default: 10_000 };
/** OpenAI's: an hour to 30 days, in seconds. */
const [LEAST_STAY, LONGEST_STAY] = [3600, 2_592_000];

/** Every field of the form of POST /v1/files. */
export const fileFields = {
  file: rule<File>("a file", (value) => value instanceof File, {
    contentMediaType: "application/jsonl",
  }),
  purpose: rule<"batch">('"batch": nothing else here reads files', (value) => value === "batch", { const: "batch" }),
  "expires_after[anchor]": rule<"created_at">('"created_at"', (value) => value === "created_at"),
  "expires_after[seconds]": rule<string>(
    `a whole number from ${LEAST_STAY} to ${LONGEST_STAY}`,
    (value) => isText(value) && isStay(Number(value)),
  ),
} as const satisfies Fields;
/** How long a file stays. */
export const stayFields = {
  anchor: fileFields["expires_after[anchor]"],
  seconds: rule<number>(fileFields["expires_after[seconds]"].expected, (value) => isStay(value as number)),
} as const satisfies Fields;
const isStay = (seconds: number) => Number.isInteger(seconds) && seconds >= LEAST_STAY && seconds <= LONGEST_STAY;

/** The endpoints below /v1/files. @param data undefined for a server that has no folder for them */
export function fileRoutes(app: App, data: DataFolder | undefined): void {
  app.use("/v1/files", limitedBodies(MAX_FILE_BYTES >> 20, "file", FORM_BYTES));
  app.post("/v1/files", async (c) => {
    const { files } = requireData(data, "/v1/files");
    const { file, seconds } = await uploadOf(c);
    const expiresAt = seconds === undefined ? null : Date.now() + seconds * 1000;
    const filename = file.name.slice(0, MAX_NAME);
    const content = new Uint8Array(await file.arrayBuffer());
    return c.json(
      fileObject(await files.upload({ owner: ownerOf(c), filename, purpose: "batch", expiresAt }, content)),
    );
  });
  app.get("/v1/files", async (c) => {
    const { purpose, ...page } = c.req.query();
    const records = await requireData(data, "/v1/files").files.list(ownerOf(c));
    const wanted = records.filter((record) => purpose === undefined || record.purpose === purpose);
    return c.json(listPage(wanted.map(fileObject), page, PAGE));
  });
  app.get("/v1/files/:id", async (c) => c.json(fileObject((await fileOf(c, data)).record)));
  app.get("/v1/files/:id/content", async (c) => {
    const { files, record } = await fileOf(c, data);
    return c.body(files.stream(record), 200, {
      "content-type": "application/octet-stream",
      "content-length": String(record.bytes),
      "content-disposition": "attachment", // a page that somebody has uploaded is not shown as one of this server
      "x-content-type-options": "nosniff",
    });
  });
  app.delete("/v1/files/:id", async (c) => {
    const { files, batches, record } = await fileOf(c, data);
    const reader = batches.unfinished().find((batch) => batch.inputFileId === record.id);
    if (reader) {
      const message = `${record.id} is read by ${reader.id}: cancel that first.`;
      throw new RequestError({ status: 409, message, code: "file_in_use" });
    }
    await files.delete(record);
    return c.json({ id: record.id, object: "file", deleted: true });
  });
}

async function fileOf(c: Context<Environment>, data: DataFolder | undefined) {
  const { files, batches } = requireData(data, "/v1/files");
  return { files, batches, record: await files.get(ownerOf(c), c.req.param("id") as string) };
}

/** @throws RequestError 501 for a server without a folder */
export function requireData(data: DataFolder | undefined, path: string): DataFolder {
  if (data) return data;
  const message = `${path} needs a folder to keep files in. Start the server with --data <folder> (option dataFolder).`;
  const headers = { "x-should-retry": "false" };
  throw new RequestError({ status: 501, message, code: "no_data_folder", headers });
}

async function uploadOf(c: Context<Environment>): Promise<{ file: File; seconds: number | undefined }> {
  const values = readFields(await formOf(c), fileFields);
  const { file, purpose, "expires_after[anchor]": anchor, "expires_after[seconds]": seconds } = values;
  if (!file) throw invalid("file", fileFields.file.expected, undefined);
  if (!purpose) throw invalid("purpose", fileFields.purpose.expected, undefined);
  if ((anchor === undefined) !== (seconds === undefined))
    throw invalid("expires_after", "an anchor and seconds", undefined);
  return { file, seconds: seconds === undefined ? undefined : Number(seconds) };
}

const inSeconds = (milliseconds: number) => Math.floor(milliseconds / 1000);

/** A file as OpenAI shows it. */
const fileObject = ({ id, bytes, createdAt, filename, purpose, expiresAt }: FileRecord) => ({
  id,
  object: "file",
  bytes,
  created_at: inSeconds(createdAt),
  filename,
  purpose,
  status: "processed",
  ...(expiresAt !== null && { expires_at: inSeconds(expiresAt) }),
});
