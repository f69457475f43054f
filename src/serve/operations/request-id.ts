import { randomUUID } from "node:crypto";

/** What a client or a proxy may call a request: it goes into logs and headers as it is. */
const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** The id that a request brings (`x-request-id`), or else a new one. */
export const requestId = (header: string | undefined): string =>
  header !== undefined && REQUEST_ID.test(header) ? header : `req_${randomUUID().replaceAll("-", "")}`;
