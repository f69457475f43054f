import type koffi from "koffi";
import { createRequire } from "#system";

/** The module `koffi`, which is optional. */
export type Koffi = typeof koffi;

/** ONNX Runtime's graph passes recurse deeply: as much stack as a thread of the system has. */
const STACK_BYTES = 8 * 2 ** 20;

let loaded: Koffi | undefined;

/**
 * koffi, by which functions of C libraries are called, ready for libraries that need a deep stack.
 * @throws Error when it is not installed or has no build for this system, and when the program has loaded a library by
 *   it before, which settles the size of stacks
 */
export function loadKoffi(): Koffi {
  loaded ??= withDeepStack(createRequire(import.meta.url)("koffi") as Koffi);
  return loaded;
}

function withDeepStack(koffi: Koffi): Koffi {
  if ((koffi.config().async_stack_size ?? 0) >= STACK_BYTES) return koffi;
  try {
    koffi.config({ async_stack_size: STACK_BYTES });
  } catch {
    throw new Error(
      `koffi was in use before Kindling: start a device first, or call koffi.config({ async_stack_size: ${STACK_BYTES} }) before koffi.load`,
    );
  }
  return koffi;
}
