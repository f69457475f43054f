// Data, training, and loss, perplexity and token accuracy on the validation dialogues before and after, as JSON.
//   node recipes/smollm2-qlora/run.mjs [--seed 0] [--steps 22]
import { fileURLToPath } from "node:url";
import { runChatRecipe } from "../common/chat-run.mjs";

await runChatRecipe(fileURLToPath(new URL(".", import.meta.url)), { weights: "blocks" });
