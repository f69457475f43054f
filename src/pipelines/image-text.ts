import { OptionError } from "../base/index.ts";
import {
  countImagePlaces,
  expandImageTokens,
  type GenerateOptions,
  ImageTextGenerator,
  type ImageTextSource,
  requireImageTokens,
  Seq2SeqGenerator,
} from "../generate/index.ts";
import { type BlipForConditionalGeneration, ImageTextModel } from "../models/index.ts";
import type { ImageProcessor } from "../processors/index.ts";
import {
  type ChatFormat,
  type ContentPart,
  chatFormat,
  encodePrompt,
  type MixedMessage,
  startToken,
  type Tokenizer,
} from "../tokenizers/index.ts";
import { collect, each, textAfter } from "./common.ts";
import { type ImageSource, openImage } from "./image-source.ts";

/** How a caption is written: as `Seq2SeqGenerator.generate`, and what it begins with. */
export interface ImageToTextOptions extends Omit<GenerateOptions, "stopTokens"> {
  /** What the caption begins with. */
  prompt?: string;
}

/** Captions of pictures. */
export class ImageToTextPipeline {
  private readonly captioner: Captioner;

  constructor(model: BlipForConditionalGeneration, tokenizer: Tokenizer, processor: ImageProcessor) {
    this.captioner = new Captioner(model, tokenizer, processor);
  }

  /**
   * A caption of a picture, its `prompt` included, in a list as in transformers; such a list for each of several
   * pictures.
   * @throws DataError for a file that is no picture, OptionError for wrong options
   */
  run(input: ImageSource, options?: ImageToTextOptions): Promise<{ generated_text: string }[]>;
  run(inputs: readonly ImageSource[], options?: ImageToTextOptions): Promise<{ generated_text: string }[][]>;
  async run(inputs: ImageSource | readonly ImageSource[], { prompt, ...options }: ImageToTextOptions = {}) {
    const one = async (source: ImageSource) => {
      const { ids, newIds } = await this.captioner.write(source, prompt, options);
      return [{ generated_text: await this.captioner.tokenizer.decode([...ids, ...newIds]) }];
    };
    return each(inputs, one);
  }

  /** Frees the model and the compiled graphs; the pipeline is of no use afterwards. */
  dispose(): void {
    this.captioner.dispose();
  }
}

/** BLIP with what it needs around it. */
class Captioner {
  readonly tokenizer: Tokenizer;
  private readonly model: BlipForConditionalGeneration;
  private readonly processor: ImageProcessor;
  private readonly generator: Seq2SeqGenerator;

  constructor(model: BlipForConditionalGeneration, tokenizer: Tokenizer, processor: ImageProcessor) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.processor = processor;
    this.generator = new Seq2SeqGenerator(model);
  }

  /** -> the tokens that the caption was to begin with, and those that follow */
  async write(
    source: ImageSource,
    prompt: string | undefined,
    options: GenerateOptions,
  ): Promise<{ ids: number[]; newIds: number[] }> {
    const { pixelValues } = this.processor.process([await openImage(source)]);
    const ids = [
      this.model.config.bosTokenId,
      ...(prompt === undefined ? [] : await this.tokenizer.encode(prompt, { addSpecialTokens: false })),
    ];
    return {
      ids,
      newIds: await collect(this.generator.generate({ pixelValues }, { ...options, decoderInputIds: ids })),
    };
  }

  dispose(): void {
    this.generator.dispose();
    this.model.dispose();
  }
}

/**
 * A text with pictures, each at an image token of the text; or a chat, whose messages have texts and pictures for
 * parts.
 */
export type ImageTextInput = { text: string; images: ImageSource | readonly ImageSource[] } | readonly MixedMessage[];

/**
 * How the answer is written: as `Generator.generate`, `maxNewTokens` being 256 by default, and what of it is given
 * back.
 */
export interface ImageTextOptions extends Omit<GenerateOptions, "stopTokens"> {
  /** The prompt is a part of what is given back. @default true */
  returnFullText?: boolean;
  /** For a chat: go on with its last message. @default when that is the assistant's */
  continueFinalMessage?: boolean;
}

/** What was written for a text or chat with pictures, under the names of transformers. */
export interface ImageTextResult {
  /** The input's text or messages. */
  input_text: string | readonly MixedMessage[];
  /**
   * Of a text the text with what follows, of a chat its messages with the answer; without `returnFullText` what is new.
   */
  generated_text: string | readonly MixedMessage[];
}

const DEFAULT_NEW_TOKENS = 256;
const isChat = (input: ImageTextInput | readonly ImageTextInput[]): input is readonly MixedMessage[] =>
  Array.isArray(input) && "role" in Object(input[0]);

/** Answers chats about pictures, and continues texts with pictures. */
export class ImageTextToTextPipeline {
  private readonly tokenizer: Tokenizer;
  private readonly writer: Captioner | ImageTextWriter;
  private readonly format: ChatFormat;

  /** @param chatTemplate Jinja. @default the tokenizer's, or one line per message, which has no place for images */
  constructor(
    model: ImageTextModel | BlipForConditionalGeneration,
    tokenizer: Tokenizer,
    processor: ImageProcessor,
    chatTemplate: string | undefined = tokenizer.chatTemplate,
  ) {
    this.tokenizer = tokenizer;
    this.writer =
      model instanceof ImageTextModel
        ? new ImageTextWriter(model, tokenizer, processor)
        : new Captioner(model, tokenizer, processor);
    this.format = chatFormat(chatTemplate, tokenizer);
  }

  /**
   * What was written for an input, in a list as in transformers; such a list for each of several inputs.
   * @throws DataError when a text has not one image token for each picture, or is longer than the context;
   *   OptionError for wrong options, an image part without an image, and several images where the model takes one
   */
  run(input: ImageTextInput, options?: ImageTextOptions): Promise<ImageTextResult[]>;
  run(inputs: readonly ImageTextInput[], options?: ImageTextOptions): Promise<ImageTextResult[][]>;
  async run(inputs: ImageTextInput | readonly ImageTextInput[], options: ImageTextOptions = {}) {
    if (isChat(inputs)) return this.one(inputs, options);
    return each(inputs, (input: ImageTextInput) => this.one(input, options));
  }

  private async one(
    input: ImageTextInput,
    { returnFullText = true, continueFinalMessage, ...rest }: ImageTextOptions,
  ): Promise<ImageTextResult[]> {
    const options = { maxNewTokens: DEFAULT_NEW_TOKENS, ...rest };
    if (!isChat(input)) {
      const { text, images } = input as { text: string; images: ImageSource | readonly ImageSource[] };
      const fresh = await this.continuation(text, [images].flat() as ImageSource[], options, true);
      return [{ input_text: text, generated_text: returnFullText ? text + fresh : fresh }];
    }
    const last = input[input.length - 1];
    const goesOn = continueFinalMessage ?? last.role === "assistant";
    const rendered = this.format.render(input, { continueFinalMessage: goesOn });
    const { addSpecialTokens } = this.format;
    // as transformers' processors, and not its tokenizers: a template that writes no start token gets it
    const start = addSpecialTokens ? undefined : await startToken(this.tokenizer);
    const text = start === undefined || rendered.startsWith(start) ? rendered : start + rendered;
    const fresh = await this.continuation(text, input.flatMap(imagesOf), options, addSpecialTokens);
    if (!returnFullText) return [{ input_text: input, generated_text: fresh }];
    const messages = goesOn
      ? [...input.slice(0, -1), { ...last, content: extended(last.content, fresh) }]
      : [...input, { role: "assistant", content: fresh }];
    return [{ input_text: input, generated_text: messages }];
  }

  private async continuation(
    text: string,
    images: readonly ImageSource[],
    options: GenerateOptions,
    addSpecialTokens: boolean,
  ): Promise<string> {
    if (this.writer instanceof ImageTextWriter) {
      const { ids, newIds } = await this.writer.write(text, images, options, addSpecialTokens);
      return textAfter(this.tokenizer, ids, newIds);
    }
    if (images.length !== 1)
      throw new OptionError({
        where: "image-text-to-text",
        expected: "one image",
        received: `${images.length}`,
        fix: "this model captions one image at a time",
      });
    const { ids, newIds } = await this.writer.write(images[0], text, options);
    return textAfter(this.tokenizer, ids, newIds);
  }

  /** Frees the model and the compiled graphs; the pipeline is of no use afterwards. */
  dispose(): void {
    this.writer.dispose();
  }
}

/** A model whose images stand in its text, with what it needs around it. */
class ImageTextWriter {
  private readonly model: ImageTextModel;
  private readonly tokenizer: Tokenizer;
  private readonly processor: ImageProcessor;
  private readonly generator: ImageTextGenerator;

  constructor(model: ImageTextModel, tokenizer: Tokenizer, processor: ImageProcessor) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.processor = processor;
    this.generator = new ImageTextGenerator(model);
  }

  async write(
    text: string,
    images: readonly ImageSource[],
    options: GenerateOptions,
    addSpecialTokens: boolean,
  ): Promise<{ ids: number[]; newIds: number[] }> {
    const source = await imageTextSource(this.model, this.tokenizer, this.processor, {
      text,
      images,
      addSpecialTokens,
    });
    return { ids: [...source.inputIds], newIds: await collect(this.generator.generate(source, options)) };
  }

  dispose(): void {
    this.generator.dispose();
    this.model.dispose();
  }
}

/**
 * The tokens of a text, with as many places for each image as the model makes of it, and the images' numbers.
 * @throws DataError when the text has not one image token for each image
 */
async function imageTextSource(
  model: ImageTextModel,
  tokenizer: Tokenizer,
  processor: ImageProcessor,
  { text, images, addSpecialTokens }: { text: string; images: readonly ImageSource[]; addSpecialTokens: boolean },
): Promise<ImageTextSource> {
  const ids = await encodePrompt(tokenizer, text, { addSpecialTokens });
  const token = model.imageTokenId;
  requireImageTokens(ids, { token, tokenText: String(tokenizer.idToToken(token)), images: images.length });
  if (images.length === 0) return { inputIds: ids };
  const opened = await Promise.all(images.map(openImage));
  const places = opened.map((image) => countImagePlaces(model, processor.process([image])));
  return { inputIds: expandImageTokens(ids, token, places), ...processor.process(opened) };
}

/** The pictures of a message, under the names that transformers has for their parts. */
function imagesOf({ content }: MixedMessage): ImageSource[] {
  if (typeof content === "string") return [];
  return (content ?? [])
    .filter(({ type }) => type === "image" || type === "image_url")
    .map((part) => {
      const address = part.image_url as string | { url: string } | undefined;
      const source =
        part.image ?? part.url ?? part.path ?? part.base64 ?? (typeof address === "object" ? address.url : address);
      if (typeof source === "string" || source instanceof Uint8Array || (typeof source === "object" && source !== null))
        return source as ImageSource;
      const fix = "give an image: its url, path or data";
      throw new OptionError({
        where: "image-text-to-text",
        expected: "an image part with an image",
        received: JSON.stringify(part),
        fix,
      });
    });
}

/** A message's content that goes on: its string, or its last text. */
function extended(content: MixedMessage["content"], fresh: string): string | readonly ContentPart[] {
  if (typeof content === "string" || content === null) return (content ?? "") + fresh;
  const at = content.findLastIndex(({ type }) => type === "text");
  return content.map((part, i) => (i === at ? { ...part, text: `${part.text}${fresh}` } : part));
}
