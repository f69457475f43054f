/** The thread that makes grammars: a program of its own, which loads nothing but what it needs. */
import { parentPort } from "node:worker_threads";
import { type JobMessage, runJob } from "./jobs.ts";

parentPort?.on("message", (message: JobMessage) => {
  const { answer, transfer } = runJob(message);
  parentPort?.postMessage(answer, transfer);
});
parentPort?.postMessage("ready");
