/** Grammars that are made in another thread than the one that writes texts: tasks as data, and what comes of them. */
export { AnswerFault, type AskedPart, type JobAnswer, type JobMessage, jobResult } from "./jobs.ts";
export {
  AnswerGrammars,
  type AskedAnswer,
  type GrammarTask,
  grammarTask,
  type PackedTask,
  taskKey,
  taskMarks,
} from "./tasks.ts";
