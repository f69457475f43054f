/** The page's script: trains on the device named in the address, and leaves the losses in the page. */
import { Device, setDefaultDevice } from "../../browser.ts";
import { trainBoth } from "./program.ts";

declare const location: { search: string };
declare const document: { querySelector(selector: string): { textContent: string } };

const type = new URLSearchParams(location.search).get("device") as "wasm" | "webgpu" | "auto";
const report = (result: unknown) => {
  document.querySelector("#result").textContent = JSON.stringify(result, null, 1);
};
try {
  const device = new Device({ type, threads: 1 });
  setDefaultDevice(device);
  const losses = await trainBoth();
  report({ picked: (await device.picked).type, ...losses });
} catch (cause) {
  report({ error: String(cause) });
}
