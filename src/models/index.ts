/** Model families in Hugging Face layout, one file each, and their loading and saving. Imports nn/ and below. */
export { type Activation, type ForwardOptions, type ForwardResult, type GPT2Config, GPT2LMHeadModel, gpt2Config } from "./gpt2.ts";
export { inspectModel, type ModelReport } from "./inspect.ts";
export { fromPretrained, loadPretrained, savePretrained } from "./pretrained.ts";
