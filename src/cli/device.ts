import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type ErrorParts, RuntimeError } from "../base/index.ts";
import { Device, type DeviceType } from "../runtime/index.ts";
import { setDefaultDevice } from "../tensor/index.ts";

const program = fileURLToPath(new URL("./probe.js", import.meta.url));
const TIMEOUT_MS = 60_000;

/**
 * The type of device that works here, of "auto" the best, tried in a process of its own: drivers write to standard
 * error what they do not find.
 * @throws RuntimeError when it is not there
 */
export async function probeDevice(type: DeviceType | "auto"): Promise<DeviceType> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, type], { timeout: TIMEOUT_MS }).catch(
    (cause) => {
      const received = cause.killed ? "no answer of its driver" : "a driver that ended its process";
      throw new RuntimeError({
        where: "device",
        expected: `${type} to be there`,
        received,
        fix: "update the driver, or use --device cpu",
        cause,
      });
    },
  );
  const answer = JSON.parse(stdout) as { type: DeviceType; error?: undefined } | { error: ErrorParts };
  if (answer.error) throw new RuntimeError(answer.error);
  return answer.type;
}

/** Computes where the user asks to. @throws RuntimeError when it is not there */
export async function useDevice({
  device: asked = "cpu",
  threads,
}: {
  device?: DeviceType | "auto";
  threads?: number;
}): Promise<DeviceType> {
  const type = asked === "cpu" ? asked : await probeDevice(asked);
  const device = new Device({ type, threads });
  setDefaultDevice(device);
  return (await device.picked).type;
}
