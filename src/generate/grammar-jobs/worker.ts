/** The thread that makes grammars: a program of its own, which loads nothing but what it needs. */
import { parentPort } from "node:worker_threads";
import { type JobMessage, JobRunner } from "./jobs.ts";

const runner = new JobRunner();

parentPort?.on("message", (message: JobMessage) => {
  const done = runner.run(message);
  if (done) parentPort?.postMessage(done.answer, done.transfer);
});
parentPort?.postMessage("ready");
