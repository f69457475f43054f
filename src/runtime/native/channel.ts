import { type Channel, type Message, type Picked, sessionSettings, type ToBackend } from "../protocol.ts";
import { answerInOrder } from "../serve.mjs";
import { NativeBackend } from "./backend.ts";
import type { OrtLibrary } from "./library.ts";

/** A device on the CPU in this process: ONNX Runtime computes in threads of its own, so the event loop stays free. */
export function openNativeChannel(ort: OrtLibrary, threads: number, failures: Picked["failures"] = []): Channel {
  let receive: (message: Message) => void = () => {};
  let backend: NativeBackend | undefined;
  const answer = answerInOrder(
    (callHost) => {
      backend = new NativeBackend({ ort, threads, config: flatten(sessionSettings), callHost });
      return (request) => (backend as NativeBackend).handle(request);
    },
    (message) => receive(message),
    ({ kind }) => kind === "compile", // in threads of their own, while others run
  );
  const native = backend as unknown as NativeBackend;
  return {
    post: (message: ToBackend) => answer("hostCall" in message ? message : native.receive(message)),
    onMessage: (callback) => {
      receive = callback;
      native.channelBlock.then((channelBlock) => callback({ picked: "cpu", failures, channelBlock, binding: "C API" }));
    },
    onFailure: () => {},
    ref: () => {},
    unref: () => {},
    cancel: (id) => native.cancel(id),
    copiedBytes: () => native.copiedBytes,
    close: () => native.dispose(),
  };
}

/** { a: { b: "c" } } as { "a.b": "c" }: so are entries of ONNX Runtime's configuration named. */
function flatten(settings: Record<string, Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).flatMap(([group, entries]) =>
      Object.entries(entries).map(([key, value]) => [`${group}.${key}`, value]),
    ),
  );
}
