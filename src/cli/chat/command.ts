import type { Command } from "commander";
import { OptionError } from "../../base/index.ts";
import type { TextOptions } from "../../generate/index.ts";
import { useDevice } from "../device.ts";
import { openModel } from "../models.ts";
import { type ModelFlags, openOptionsOf, type SamplingFlags, samplingOf, withSampling } from "../sampling.ts";
import { typedSamplingFlags } from "../sampling-flags.ts";
import { chatCommand } from "./chat.ts";
import { LocalModel } from "./local-model.ts";
import { RemoteModel } from "./remote-model.ts";
import { splitOptions } from "./settings.ts";

interface ChatFlags extends ModelFlags, SamplingFlags {
  url?: string;
  system?: string;
  verbose?: boolean;
}

/** `kindling chat`, with a model that is loaded here or a server. */
export function addChat(program: Command): void {
  withSampling(
    program
      .command("chat")
      .argument(
        "[model]",
        "a run's name, a folder in Hugging Face layout, a .gguf file, or a repository; with --url a model of the server",
      ),
  )
    .description(
      "Talk with a model in the terminal, by its chat template; Ctrl-C stops an answer, /help shows the commands of a talk.",
    )
    .option("--system <text>", "how the model is to behave")
    .option("--url <address>", "talk with a server that speaks OpenAI's API; its key is read from KINDLING_API_KEY")
    .option("--verbose", "tell after each answer how long it took")
    .addHelpText(
      "after",
      `
Examples:
  kindling chat sotu
  kindling chat smollm2.gguf --temperature 0.5 --system "Answer in one sentence."
  kindling chat smollm2.gguf < questions.txt > answers.txt     # an answer to each line, no prompts
  kindling chat --url http://127.0.0.1:8080

A line that ends with \\ goes on with the next; """ begins and ends a text of several lines.
What is typed in a terminal is kept in ~/.local/state/kindling/chat-history; KINDLING_HISTORY names another file, or is "off".`,
    )
    .action(async (name: string | undefined, flags: ChatFlags, command: Command) => {
      const { settings, others } = splitOptions(samplingOf(flags));
      const options = { settings: { ...settings, ...(flags.verbose && { stats: true }) }, system: flags.system };
      if (flags.url === undefined && name === undefined)
        command.error("error: missing required argument 'model', or --url with the address of a server");
      const model =
        flags.url === undefined
          ? await localModel(name as string, flags, others)
          : await remoteModel(flags.url, name, others);
      try {
        process.exitCode = await chatCommand(model, options);
      } finally {
        model.dispose();
      }
    });
}

async function localModel(name: string, flags: ChatFlags, options: TextOptions): Promise<LocalModel> {
  await useDevice(flags);
  const open = (other: string) => openModel(other, flags.runs, openOptionsOf(flags));
  return new LocalModel(await open(name), options, open);
}

/** @throws OptionError for ways to pick tokens that OpenAI's API does not know */
function remoteModel(url: string, model: string | undefined, options: TextOptions): Promise<RemoteModel> {
  const [foreign] = Object.keys(options);
  if (foreign !== undefined) {
    throw new OptionError({
      where: "chat --url",
      expected: "options that OpenAI's API has",
      received: typedSamplingFlags[foreign as keyof typeof typedSamplingFlags] ?? "--context-shift",
      fix: "leave it out",
    });
  }
  return RemoteModel.open(url, { apiKey: process.env.KINDLING_API_KEY, model });
}
