/** Model families in Hugging Face layout, one file each, and their loading and saving. Imports nn/ and below. */
export { CausalLM, type CausalLMConfig, type ForwardOptions, type ForwardResult } from "./causal-lm.ts";
export { type GPT2Config, GPT2LMHeadModel, gpt2Config } from "./gpt2.ts";
export { inspectModel, type ModelReport } from "./inspect.ts";
export { type LlamaConfig, LlamaForCausalLM, type LlamaModelType, llamaConfig } from "./llama.ts";
export { fromPretrained, loadPretrained, savePretrained } from "./pretrained.ts";
