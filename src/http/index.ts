/** Requests to servers over HTTP, server-sent events, and what those who send many need: room, time. Imports base/. */
export { type Clock, systemClock } from "./clock.ts";
export { EventParser } from "./event-parser.ts";
export { type HttpAnswer, type HttpRequest, type HttpTransport, httpTransport, type Transport } from "./http.ts";
export { Slots } from "./slots.ts";
