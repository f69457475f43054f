/** Requests to servers over HTTP, server-sent events, room for a number of things at a time. Imports base/. */
export { EventParser } from "./event-parser.ts";
export { type HttpAnswer, type HttpRequest, httpTransport, type Transport } from "./http.ts";
export { Slots } from "./slots.ts";
