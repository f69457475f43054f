import { type ServedModel, type ServeOptions, serve } from "../serve/index.ts";
import { abortOnInterrupt } from "./interrupt.ts";

/** `kindling serve`: serves until Ctrl-C. */
export async function serveCommand(model: ServedModel, options: ServeOptions): Promise<void> {
  const server = await serve(model, options);
  process.stdout.write(`\nserving ${model.id} at ${server.url}\n`);
  process.stdout.write(
    `  open the page in a browser, or:\n  curl ${server.url}/v1/completions -H 'content-type: application/json' -d '{"prompt": "Once", "max_tokens": 40}'\n  Ctrl-C ends.\n`,
  );
  await new Promise<void>((resolve) => abortOnInterrupt(resolve));
  await server.close();
  model.generator.dispose();
}
