import { makeFolder, withWriteErrors } from "../files/index.ts";
import type { StopReason, TrainEvent } from "./events.ts";
import { Session } from "./session.ts";
import { checkTrainOptions, type TrainOptions } from "./train-options.ts";

/**
 * Trains what an objective says, and reports what happens as it happens. A checkpoint found in the folder is resumed:
 * batches and dropout are functions of the step, and so is the learning rate without `maxSeconds`, so a resumed run is
 * the run that was not interrupted.
 * @throws DivergedError when the loss is not finite; the last good state is then the checkpoint. DataError for a
 *   checkpoint that is damaged or of other data. OptionError for wrong options. WriteError when the disk is full. The
 *   reason of `cancelSignal`
 */
export async function* train<B>(options: TrainOptions<B>): AsyncGenerator<TrainEvent, void, void> {
  checkTrainOptions(options);
  await withWriteErrors(options.folder, () => makeFolder(options.folder));
  const session = new Session(options);
  try {
    for await (const event of eventsOf(session, options)) {
      await session.callBack(event);
      yield event;
    }
  } finally {
    await session.close();
  }
}

async function* eventsOf<B>(session: Session<B>, options: TrainOptions<B>): AsyncGenerator<TrainEvent, void, void> {
  const { validationData, cancelSignal } = options;
  yield* session.resume();
  let reason: StopReason | undefined;
  for (reason = session.stopReason(); !reason; reason = session.stopReason()) {
    const event = await session.step();
    yield event;
    if (event.type === "rolledBack") continue;
    if (session.isDue("evaluate") && validationData) yield* evaluated(session, options);
    if (session.isDue("save") && session.savedStep !== session.state.step) yield await session.save();
  }
  const { step, validationStep } = session.state;
  cancelSignal?.throwIfAborted();
  const isMeasured = validationStep === step || (reason === "aborted" && validationStep !== null);
  if (validationData && !isMeasured) yield* evaluated(session, options);
  if (session.savedStep !== step) yield await session.save();
  if (options.restoreBest && reason !== "aborted") await session.restoreBest();
  const { validationLoss } = session.state;
  const { state } = session.best;
  const best = state ? { step: state.step, value: state.value } : null;
  yield { type: "finished", step, reason, validationLoss, validationStep: session.state.validationStep, best };
}

/** An evaluation; a state that is the best so far is saved and kept, where that is asked for. */
async function* evaluated<B>(
  session: Session<B>,
  { validationData, keepBest }: TrainOptions<B>,
): AsyncGenerator<TrainEvent, void, void> {
  const event = await session.evaluate(validationData as NonNullable<typeof validationData>);
  yield event;
  if (!keepBest || !event.isBest) return;
  yield await session.save();
  await session.keepBest();
}
