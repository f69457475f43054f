/** How an upstream is spoken to: its paths, and where the key goes. All of them speak OpenAI's API. */
export type UpstreamKind = "openai" | "azure" | "ollama" | "vllm" | "kindling";

export interface Preset {
  kind: UpstreamKind;
  /** What is before "/chat/completions"; undefined where each customer has another. */
  baseUrl?: string;
}

/**
 * Addresses of services by name. A plain list to be edited: each address is what the service's documentation of its
 * OpenAI-compatible API gives as `base_url`, and the page is named beside it.
 */
export const presets = {
  // platform.openai.com/docs/api-reference
  openai: { kind: "openai", baseUrl: "https://api.openai.com/v1" },
  // learn.microsoft.com/azure/ai-services/openai/reference: https://RESOURCE.openai.azure.com
  azure: { kind: "azure" },
  // docs.anthropic.com/en/api/openai-sdk
  anthropic: { kind: "openai", baseUrl: "https://api.anthropic.com/v1" },
  // help.aliyun.com/zh/model-studio/compatibility-of-openai-with-dashscope
  qwen: { kind: "openai", baseUrl: "https://dashscope.aliyuncs.com/compatible-mode/v1" },
  // www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope
  "qwen-international": { kind: "openai", baseUrl: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1" },
  // api-docs.deepseek.com
  deepseek: { kind: "openai", baseUrl: "https://api.deepseek.com/v1" },
  // docs.bigmodel.cn, OpenAI API 兼容
  zhipu: { kind: "openai", baseUrl: "https://open.bigmodel.cn/api/paas/v4" },
  // platform.moonshot.cn/docs
  moonshot: { kind: "openai", baseUrl: "https://api.moonshot.cn/v1" },
  // platform.moonshot.ai/docs
  "moonshot-international": { kind: "openai", baseUrl: "https://api.moonshot.ai/v1" },
  // www.volcengine.com/docs/82379, 方舟: a model is the id of an inference endpoint, or of a model
  doubao: { kind: "openai", baseUrl: "https://ark.cn-beijing.volces.com/api/v3" },
  // cloud.baidu.com/doc/qianfan-api, v2
  ernie: { kind: "openai", baseUrl: "https://qianfan.baidubce.com/v2" },
  // cloud.tencent.com/document/product/1729/111007
  hunyuan: { kind: "openai", baseUrl: "https://api.hunyuan.cloud.tencent.com/v1" },
  // platform.minimaxi.com/document
  minimax: { kind: "openai", baseUrl: "https://api.minimaxi.com/v1" },
  // platform.minimax.io/docs
  "minimax-international": { kind: "openai", baseUrl: "https://api.minimax.io/v1" },
  // docs.ollama.com/api/openai-compatibility
  ollama: { kind: "ollama", baseUrl: "http://127.0.0.1:11434/v1" },
  // docs.vllm.ai/en/latest/serving/openai_compatible_server.html
  vllm: { kind: "vllm", baseUrl: "http://127.0.0.1:8000/v1" },
  // docs/serving.md
  kindling: { kind: "kindling", baseUrl: "http://127.0.0.1:8080/v1" },
} as const satisfies Readonly<Record<string, Preset>>;
