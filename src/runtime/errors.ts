/** What ONNX Runtime says, as errors that name the place in the user's model and a fix. */
import { RuntimeError } from "../base/index.ts";
import type { Picked } from "./protocol.ts";

/** The last sentence of ONNX Runtime's messages, which begin with source files and conditions. */
const essence = (reason: string): string => (reason.split("\n")[0] ?? "").replace(/^\/\S+.*? was false\. /, "");

/** None of the types of device that were tried works. */
export function absentError(failures: Picked["failures"]): RuntimeError {
  return new RuntimeError({
    where: "device",
    expected: `${failures.map(({ type }) => type).join(" or ")} to be there`,
    received: failures.map(({ type, reason }) => `${type}: ${essence(reason)}`).join("; "),
    fix: 'install the driver or the libraries it names, or use type "auto" or "cpu"',
  });
}

/** "Name:'h.0.attn/gather/t12'" in a message of ONNX Runtime: where in the user's modules it failed. */
function placeIn(message: string): string {
  const [, module, op] = /Name:'([^'/]*)\/([^'/]+)\/[^'/]*'/.exec(message) ?? [];
  if (op === undefined) return "device";
  return module ? `${op} in ${module}` : op;
}

/** A request failed, with this message of ONNX Runtime or of the backend. */
export function runtimeError(message: string, cause?: Error): RuntimeError {
  const isMissing = /onnxruntime-node cannot be loaded/.test(message);
  return new RuntimeError({
    where: placeIn(message),
    expected: isMissing ? "the package onnxruntime-node" : "ONNX Runtime to compile and run the graph",
    received: message,
    fix: /out of (data )?bounds|out of range/i.test(message)
      ? "check the indices: each must be at least minus the axis' size, and less than it; labels must be at least 0"
      : isMissing
        ? "run: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@1.30.0"
        : "see the message; if it names no mistake of yours, report it",
    cause,
  });
}
