/** Grammars of requests, made in a thread of their own. */
export { GrammarCompiler } from "./compiler.ts";
