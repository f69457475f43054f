/** The page's script: trains on the device named in the address, and leaves the losses in the page. */
import { Device, setDefaultDevice, Tokenizer } from "../../browser.ts";
import { runModels } from "./models.ts";
import { trainAll } from "./program.ts";

declare const location: { search: string };
declare const document: { querySelector(selector: string): { textContent: string } };

const query = new URLSearchParams(location.search);
const type = query.get("device") as "wasm" | "webgpu" | "auto";
const report = (result: unknown) => {
  document.querySelector("#result").textContent = JSON.stringify(result, null, 1);
};
/** Ids and offsets of texts, by the tokenizer of each kind that the server has. */
async function tokenize(): Promise<Record<string, [number[], number[]][]>> {
  const { kinds, texts } = (await (await fetch("/kinds.json")).json()) as {
    kinds: Record<string, object>;
    texts: string[];
  };
  const out: Record<string, [number[], number[]][]> = {};
  for (const [name, json] of Object.entries(kinds)) {
    const tokenizer = await Tokenizer.fromJson(json as Record<string, unknown>);
    out[name] = await Promise.all(
      texts.map((text) =>
        tokenizer.encodeText(text).then(({ ids, offsets }): [number[], number[]] => [ids, offsets.flat()]),
      ),
    );
  }
  return out;
}
try {
  if (location.search === "?tokenizers") report(await tokenize());
  else if (query.has("models")) await runInPage();
  else await train();
} catch (cause) {
  report({ error: String(cause) });
}

/** @see browser-models.slow.test.ts for what the address asks */
async function runInPage(): Promise<void> {
  const { FileSystemFileHandle } = globalThis as unknown as { FileSystemFileHandle: { prototype: object } };
  if (query.get("store") === "cache") Reflect.deleteProperty(FileSystemFileHandle.prototype, "createWritable");
  setDefaultDevice(new Device({ type, threads: 1 }));
  report(await runModels((name) => `./golden/${name}`, { cache: query.get("store") !== "none" }));
}

async function train(): Promise<void> {
  const device = new Device({ type, threads: 1 });
  setDefaultDevice(device);
  const losses = await trainAll();
  report({ picked: (await device.picked).type, ...losses });
}
