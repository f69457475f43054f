import { KindlingError } from "../base/index.ts";

/*
 * The scope is where in the user's model a node is being made, so that an error or a profile can say "h.3.attn". Graph
 * building is synchronous, which makes a plain stack safe; it is empty whenever no trace is running.
 */
const scopes: string[] = [];

/** The module for which nodes are being made, such as "h.3.attn"; "" outside of all modules. */
export function currentScope(): string {
  return scopes.length > 0 ? scopes[scopes.length - 1] : "";
}

/** Runs `body` with all nodes and errors it makes marked as belonging to `name`, nested inside the current scope. */
export function withScope<T>(name: string, body: () => T): T {
  const outer = currentScope();
  scopes.push(outer && name ? `${outer}.${name}` : outer || name);
  try {
    return body();
  } catch (error) {
    if (error instanceof KindlingError) error.locate(currentScope());
    throw error;
  } finally {
    scopes.pop();
  }
}
