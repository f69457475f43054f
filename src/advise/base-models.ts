/** Base models that our families load, to choose among. The table is part of the package, and asks no server. */

/** What a model is for. */
export const modelTasks = ["chat", "classification", "embedding", "ner", "translation", "speech", "vision"] as const;

/** A model of the hub. */
export interface BaseModel {
  name: string;
  tasks: readonly (typeof modelTasks)[number][];
  /** Numbers in it, in millions. */
  millions: number;
  /** ISO 639-1; "multi" for about a hundred. None where it reads no text. */
  languages: readonly string[];
  /** As the hub has it. */
  licence: string;
  /** Tokens of the longest text. */
  context?: number;
  year: number;
  /** What speaks for it. */
  why: string;
}

/** What the table knows of is from before; noted from memory: read a model's card before you rely on it. */
export const MODELS_DATE = "2025-09";

/** Of each model its name, tasks, millions of numbers, languages, licence, context and year, and what speaks for it. */
const table = `
HuggingFaceTB/SmolLM2-135M-Instruct | chat | 134.5 | en | apache-2.0 | 8192 | 2024
  the smallest that answers; trains on a laptop's CPU
HuggingFaceTB/SmolLM2-360M-Instruct | chat | 361.8 | en | apache-2.0 | 8192 | 2024
  a step above the smallest, still for a CPU
HuggingFaceTB/SmolLM2-1.7B-Instruct | chat | 1711 | en | apache-2.0 | 8192 | 2024
  strong English for its size; data and recipe are open
HuggingFaceTB/SmolLM3-3B | chat | 3075 | en fr es de it pt | apache-2.0 | 65536 | 2025
  long texts and six European languages; data and recipe are open
Qwen/Qwen2.5-0.5B-Instruct | chat | 494 | en zh multi | apache-2.0 | 32768 | 2024
  the smallest with good Chinese
Qwen/Qwen2.5-1.5B-Instruct | chat | 1544 | en zh multi | apache-2.0 | 32768 | 2024
  small, in many languages, with structured outputs
Qwen/Qwen2.5-7B-Instruct | chat | 7616 | en zh multi | apache-2.0 | 131072 | 2024
  widely used, with many fine-tunes to compare with
Qwen/Qwen3-0.6B | chat | 596 | en zh multi | apache-2.0 | 40960 | 2025
  thinks before it answers, or not; 119 languages
Qwen/Qwen3-1.7B | chat | 1721 | en zh multi | apache-2.0 | 40960 | 2025
  thinks before it answers, or not; 119 languages
Qwen/Qwen3-4B | chat | 4022 | en zh multi | apache-2.0 | 40960 | 2025
  much of what 7B models of the year before do
Qwen/Qwen3-8B | chat | 8191 | en zh multi | apache-2.0 | 40960 | 2025
  the usual size for one card of 24 GiB
Qwen/Qwen3-14B | chat | 14768 | en zh multi | apache-2.0 | 40960 | 2025
  the strongest dense one that one card of 48 GiB serves in 16 bits
Qwen/Qwen3-30B-A3B | chat | 30532 | en zh multi | apache-2.0 | 40960 | 2025
  a mixture of experts: the memory of 30B, the time of 3B
mistralai/Mistral-7B-Instruct-v0.3 | chat | 7248 | en | apache-2.0 | 32768 | 2024
  English with tools, and many fine-tunes to compare with
microsoft/Phi-3.5-mini-instruct | chat | 3821 | en zh de fr es it pt ja ko ru ar multi | mit | 131072 | 2024
  reasoning and long texts in little memory
microsoft/phi-4 | chat | 14660 | en | mit | 16384 | 2024
  mathematics and code in English
meta-llama/Llama-3.2-1B-Instruct | chat | 1236 | en de fr it pt hi es th | llama3.2 | 131072 | 2024
  long texts in little memory; Meta's licence, on request
meta-llama/Llama-3.2-3B-Instruct | chat | 3213 | en de fr it pt hi es th | llama3.2 | 131072 | 2024
  long texts; Meta's licence, on request
meta-llama/Llama-3.1-8B-Instruct | chat | 8030 | en de fr it pt hi es th | llama3.1 | 131072 | 2024
  most tools and adapters know it; Meta's licence, on request
google/gemma-2-2b-it | chat | 2614 | en | gemma | 8192 | 2024
  good English prose for its size; Google's licence, on request
google/gemma-3-1b-it | chat | 1000 | en | gemma | 32768 | 2025
  small, with long texts by windows; Google's licence, on request
allenai/OLMo-2-0425-1B-Instruct | chat | 1485 | en | apache-2.0 | 4096 | 2025
  all data, code and checkpoints are open
allenai/OLMo-2-1124-7B-Instruct | chat | 7299 | en | apache-2.0 | 4096 | 2024
  all data, code and checkpoints are open
zai-org/GLM-4-9B-0414 | chat | 9400 | en zh | mit | 32768 | 2025
  Chinese and English, code and tools
answerdotai/ModernBERT-base | classification ner | 149 | en | apache-2.0 | 8192 | 2024
  the strongest English encoder of its size, for long texts
answerdotai/ModernBERT-large | classification ner | 394.8 | en | apache-2.0 | 8192 | 2024
  the strongest English encoder, for long texts
google-bert/bert-base-uncased | classification ner | 109.5 | en | apache-2.0 | 512 | 2018
  what every result is compared with
google-bert/bert-base-multilingual-cased | classification ner | 177.9 | multi | apache-2.0 | 512 | 2018
  104 languages, one vocabulary
google-bert/bert-base-chinese | classification ner | 102.3 | zh | apache-2.0 | 512 | 2018
  reads characters, so that spans are exact
hfl/chinese-macbert-base | classification ner | 102.3 | zh | apache-2.0 | 512 | 2020
  Chinese in BERT's form, trained on more and by whole words
hfl/chinese-roberta-wwm-ext | classification ner | 102.3 | zh | apache-2.0 | 512 | 2019
  Chinese in BERT's form, masked by whole words
distilbert/distilbert-base-uncased | classification ner | 66.4 | en | apache-2.0 | 512 | 2019
  half the time of BERT for most of its quality
distilbert/distilbert-base-multilingual-cased | classification ner | 134.7 | multi | apache-2.0 | 512 | 2019
  104 languages in half the time
FacebookAI/roberta-base | classification ner | 124.6 | en | mit | 512 | 2019
  BERT, trained longer
FacebookAI/xlm-roberta-base | classification ner | 278 | multi | mit | 512 | 2019
  100 languages; learns in one what it does in others
FacebookAI/xlm-roberta-large | classification ner | 559.9 | multi | mit | 512 | 2019
  100 languages, the strongest of its form
microsoft/deberta-v3-small | classification ner | 141.9 | en | mit | 512 | 2021
  six layers, above RoBERTa's base on most tasks
microsoft/deberta-v3-base | classification ner | 184.4 | en | mit | 512 | 2021
  strong on pairs of sentences and on questions
microsoft/mdeberta-v3-base | classification ner | 278.8 | multi | mit | 512 | 2021
  100 languages, above XLM-RoBERTa's base
google/electra-small-discriminator | classification ner | 13.5 | en | apache-2.0 | 512 | 2020
  very small and fast
albert/albert-base-v2 | classification | 11.7 | en | apache-2.0 | 512 | 2019
  the least memory: all layers share their weights
dslim/bert-base-NER | ner | 107.7 | en | mit | 512 | 2020
  ready for people, places and organisations
shibing624/bert4ner-base-chinese | ner | 101.7 | zh | apache-2.0 | 512 | 2021
  ready for Chinese people, places and organisations
sentence-transformers/all-MiniLM-L6-v2 | embedding | 22.7 | en | apache-2.0 | 256 | 2021
  small, fast and good enough for most searches
BAAI/bge-small-en-v1.5 | embedding | 33.4 | en | mit | 512 | 2023
  search in English, with little memory
BAAI/bge-base-en-v1.5 | embedding | 109.5 | en | mit | 512 | 2023
  search in English
BAAI/bge-small-zh-v1.5 | embedding | 24 | zh | mit | 512 | 2023
  search in Chinese, with little memory
BAAI/bge-base-zh-v1.5 | embedding | 102.3 | zh | mit | 512 | 2023
  search in Chinese
BAAI/bge-m3 | embedding | 567.8 | multi zh en | mit | 8192 | 2024
  100 languages and long texts
intfloat/multilingual-e5-small | embedding | 117.7 | multi | mit | 512 | 2023
  100 languages in little memory; texts begin with query: or passage:
intfloat/multilingual-e5-base | embedding | 278 | multi | mit | 512 | 2023
  100 languages; texts begin with query: or passage:
Helsinki-NLP/opus-mt-en-zh | translation | 77.9 | en zh | apache-2.0 | 512 | 2020
  English to Chinese, on a CPU
Helsinki-NLP/opus-mt-zh-en | translation | 77.9 | zh en | cc-by-4.0 | 512 | 2020
  Chinese to English, on a CPU
Helsinki-NLP/opus-mt-en-de | translation | 74.4 | en de | cc-by-4.0 | 512 | 2020
  English to German, on a CPU; there is one for most pairs
google-t5/t5-small | translation | 60.5 | en de fr ro | apache-2.0 | 512 | 2019
  learned to translate from English among other tasks
google-t5/t5-base | translation | 222.9 | en de fr ro | apache-2.0 | 512 | 2019
  learned to translate from English among other tasks
google/mt5-small | translation | 300.2 | multi | apache-2.0 | 1024 | 2020
  101 languages; to be fine-tuned, it can do nothing before
google/mt5-base | translation | 582.4 | multi | apache-2.0 | 1024 | 2020
  101 languages; to be fine-tuned, it can do nothing before
openai/whisper-tiny | speech | 37.8 | multi | apache-2.0 | 448 | 2022
  99 languages; the fastest
openai/whisper-base | speech | 72.6 | multi | apache-2.0 | 448 | 2022
  99 languages; real time on a CPU
openai/whisper-small | speech | 241.7 | multi | apache-2.0 | 448 | 2022
  99 languages; the first that is good beyond English
openai/whisper-medium | speech | 763.9 | multi | apache-2.0 | 448 | 2022
  99 languages
openai/whisper-large-v3-turbo | speech | 808.9 | multi | mit | 448 | 2024
  nearly the quality of large-v3, in a fraction of its time
openai/whisper-large-v3 | speech | 1543.5 | multi | apache-2.0 | 448 | 2023
  the best of its family
microsoft/resnet-18 | vision | 11.7 | - | apache-2.0 | - | 2015
  images to classes; the smallest baseline
microsoft/resnet-50 | vision | 25.6 | - | apache-2.0 | - | 2015
  images to classes; what every result is compared with
facebook/convnext-tiny-224 | vision | 28.6 | - | apache-2.0 | - | 2022
  images to classes; convolutions as strong as transformers
microsoft/swin-tiny-patch4-window7-224 | vision | 28.3 | - | apache-2.0 | - | 2021
  images to classes, and features at several sizes
google/vit-base-patch16-224 | vision | 86.6 | - | apache-2.0 | - | 2020
  images to classes; much data helps it
facebook/dinov2-small | vision | 22.1 | - | apache-2.0 | - | 2023
  features for a new head, from few labelled images
facebook/dinov2-base | vision | 86.6 | - | apache-2.0 | - | 2023
  features for a new head, from few labelled images
hustvl/yolos-tiny | vision | 6.5 | - | apache-2.0 | - | 2021
  finds objects; small
facebook/detr-resnet-50 | vision | 41.6 | - | apache-2.0 | - | 2020
  finds objects, without rules for overlapping boxes
google/siglip-base-patch16-224 | vision | 203.2 | en | apache-2.0 | - | 2023
  classes by their names, without training, and search by text
`;

/** Models to begin from. */
export const baseModels: readonly BaseModel[] = [...table.matchAll(/^(\S.*)\n {2}(.+)$/gm)].map(([, facts, why]) => {
  const [name, tasks, millions, languages, licence, context, year] = facts.split(" | ");
  return {
    ...{ name, licence, why },
    millions: Number(millions),
    year: Number(year),
    tasks: tasks.split(" ") as BaseModel["tasks"][number][],
    languages: languages === "-" ? [] : languages.split(" "),
    ...(context !== "-" && { context: Number(context) }),
  };
});
