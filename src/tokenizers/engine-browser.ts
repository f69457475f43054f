/** In a page there is only the engine in JavaScript. */
export { openEngine } from "./engine-javascript.ts";
export const nativeTokenizers = async (): Promise<undefined> => undefined;
