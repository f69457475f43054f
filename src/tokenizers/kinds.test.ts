/** Every kind of tokenizer.json, by Hugging Face's native library. */
import { describeKinds } from "../testing/tokenizer-kinds.ts";

describeKinds();
