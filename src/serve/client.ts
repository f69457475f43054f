import { AsyncLocalStorage } from "node:async_hooks";

/** Whose request is worked on. What is shared evenly among clients asks for it, however far below the request. */
const clients = new AsyncLocalStorage<string>();

/** Does the work of a client's request. */
export const asClient = <R>(client: string, work: () => R): R => clients.run(client, work);

/** The client whose request is worked on; "" outside of requests. */
export const currentClient = (): string => clients.getStore() ?? "";
