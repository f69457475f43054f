/** Short dialogues of chatterbot-corpus (PyPI) as train.jsonl and validation.jsonl, and SmolLM2, in data/. */
import { fileURLToPath } from "node:url";
import { writeChatData } from "../common/chat-data.mjs";

writeChatData(fileURLToPath(new URL("data", import.meta.url)));
