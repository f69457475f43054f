/**
 * A program of its own that tries a type of device, so that what drivers write to standard error, or a driver that ends
 * its process, does not reach the command: node probe.js <type>. Writes JSON: the type that was picked, or the parts of
 * the error.
 */
import { KindlingError } from "../base/index.ts";
import { Device, type DeviceOptions } from "../runtime/index.ts";

const device = new Device({ type: process.argv[2] as DeviceOptions["type"] });
let answer: object;
try {
  answer = { type: (await device.picked).type };
} catch (error) {
  if (!(error instanceof KindlingError)) throw error;
  const { where, expected, received, fix } = error;
  answer = { error: { where, expected, received, fix } };
}
process.stdout.write(JSON.stringify(answer), () => process.exit()); // a driver may keep threads of its own
