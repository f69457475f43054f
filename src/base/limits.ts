/*
 * The rule for files that others wrote: a length, count, size or depth that a file states is bounded by that file's own
 * size, or by a limit of this table. Limits are far above what real files have, and low enough that what they allow is
 * read in seconds and in memory that any machine has.
 */
import { DataError } from "./errors.ts";

/** Limits by name, each with its reason. */
export const limits = {
  /**
   * Lists and objects of a JSON text inside one another. config.json and tokenizer.json have up to 12; readers call
   * themselves for each.
   */
  jsonDepth: 200,
  /**
   * Lists and objects of a JSON text. The largest tokenizer.json, of 580,000 merges, have one for each merge; one takes
   * about 60 bytes.
   */
  jsonContainers: 8_000_000,
  /** Values of a JSON text. Vocabularies have up to 300,000, merges 1,200,000; one takes up to 16 bytes. */
  jsonValues: 32_000_000,
  /**
   * Lists and objects of a request to the server: messages, their parts and calls, prompts. Talks of agents have some
   * hundred messages.
   */
  requestContainers: 16_384,
  /** Names of fields in a request, over all its objects: four for each of as many messages. */
  requestFields: 65_536,
  /** Answers to one request, its prompts times `n`. OpenAI takes 2048 prompts, and 128 answers to one. */
  requestAnswers: 4096,
  /**
   * Log probabilities of the tokens of a request's prompts: those of `prompt_logprobs` 20 for 12,000 tokens. One takes
   * 60 bytes of the answer.
   */
  requestPromptLogprobs: 2 ** 18,
  /** Bytes of an image in a request, before base64, or behind an address that it names. OpenAI's most. */
  requestImageBytes: 20 * 2 ** 20,
  /**
   * Pixels of an image in a request. A telephone's 50 megapixels fit; decoded they take 150 MB, in a thread that reads
   * one image at a time.
   */
  requestImagePixels: 2 ** 26,
  /**
   * Pixels of all images of a request together: twenty of a telephone's 12 megapixels. Decoding and resizing so many
   * takes half a minute and more, in turns with those of others.
   */
  requestPixels: 2 ** 28,
  /** Characters of a prompt, or of messages as JSON: bodies without images are half as long, those with images more. */
  promptCharacters: 8 * 2 ** 20,
  /** The header of a safetensors file; the reference implementation refuses larger ones too. */
  safetensorsHeaderBytes: 100_000_000,
  /**
   * Values in the metadata of a GGUF file. Vocabularies of 262,144 tokens have three lists of that length and one of
   * their merges.
   */
  ggufValues: 8_000_000,
  /**
   * Bytes of a whole number in a pickle. PyTorch's largest, its magic number, has 10; the time to read one grows with
   * the square.
   */
  pickleIntegerBytes: 64,
  /** Steps of a pickle, each of which makes at most one object. A checkpoint of 10,000 tensors takes 400,000. */
  pickleSteps: 4_000_000,
  /**
   * How many times its own size an archive may unpack to. Weights deflate to more than half of their size; only made-up
   * ones to a hundredth.
   */
  unpackedRatio: 100,
  /** Nodes and values that importing an ONNX model may make. The largest exported models have 20,000 nodes. */
  onnxNodes: 1_000_000,
  /** Outputs of one ONNX node, and positions of one window of a pooling or convolution. */
  onnxParts: 65_536,
  /**
   * Elements of an ONNX constant that is worked out while importing, such as the positions of a Range: a table of 4096
   * x 4096.
   */
  onnxConstantElements: 2 ** 24,
  /**
   * Layers of a model, over all its stacks. The deepest published ones have below 200; each makes its modules before a
   * weight is read.
   */
  modelLayers: 2048,
  /** Experts and groups of a layer, for each of which there are modules. Published mixtures have up to 512. */
  modelParts: 16_384,
  /** Numbers of a head that positions turn. Heads have up to 512. */
  rotaryWidth: 65_536,
  /**
   * Pixels of a picture, before and after resizing. A camera of 100 megapixels fits; each takes up to 4 bytes, and 12
   * as numbers.
   */
  imagePixels: 2 ** 27,
  /**
   * Bytes of an SVG, which are read as text before it is drawn. Maps and plots of many points have one or two million.
   */
  svgBytes: 2 ** 23,
  /**
   * Elements of an SVG inside one another, those that are referred to included. Drawings have up to 30; the library
   * that draws them reads 256.
   */
  svgDepth: 200,
  /** Pixels of an SVG times its elements: a layer of 16 million pixels takes 0.1 seconds. */
  svgWork: 2 ** 32,
  /** Pixels of an SVG times the depth of its elements: each may be a layer, which takes 4 bytes for each. */
  svgLayers: 2 ** 28,
  /**
   * Rows of a row group of Parquet, or of a batch of Arrow, which is read as a whole. pyarrow writes groups of a
   * million, Hugging Face's datasets of a thousand.
   */
  tableBlockRows: 2 ** 24,
  /**
   * Seconds in which a block of a table is read, and two for each mebibyte of its file. A million rows of a few columns
   * take one or two.
   */
  tableSeconds: 10,
  /** Mebibytes of memory for that, or 16 times the file's size. A million short rows take 200. */
  tableHeapMebibytes: 1024,
  /** A side of the picture that a preprocessor_config.json asks for. Models take 224 to 2048. */
  imageSide: 16_384,
  /** Samples a second of a sound. Studios record at 192,000, and filters of that rate take 30 MB. */
  samplingRate: 768_000,
  /** Samples of a sound in another rate: 90 minutes at 48,000 a second. */
  soundSamples: 2 ** 28,
  /**
   * Numbers in the filters between two sampling rates: 44,100 to 16,000 takes 6,000, rates without a common divisor up
   * to a million.
   */
  resampleTaps: 2 ** 24,
  /** Channels of a sound. */
  soundChannels: 256,
  /**
   * Steps of a chat template: nodes that it evaluates, and 16 characters or elements that it looks at or makes. The
   * largest conversations of the golden files take 10,000; this many take some seconds.
   */
  templateSteps: 5_000_000,
  /** Expressions, blocks and macros of a template inside one another while it is rendered; Python allows 1000 calls. */
  templateDepth: 500,
  /** Characters of a template. The longest published ones have 30,000. */
  templateCharacters: 1_000_000,
  /** White space of a template without a break: the time to read it grows with the square. */
  templateSpaces: 2_000,
  /**
   * Characters of a regular expression of a tokenizer. The longest published one has 900; those made of a vocabulary's
   * own pieces more.
   */
  regexLength: 1_000_000,
  /**
   * Places of a regular expression with loops, once its counted repetitions are written out. The longest published one
   * has 60.
   */
  regexPlaces: 500,
  /**
   * Steps of a regular expression with its counted repetitions written out, each of which is taken once for a character
   * of a text. Published ones have 150.
   */
  regexSteps: 5_000,
  /**
   * Ways through a regular expression, its loops aside: what an engine may have to try at one character. Published ones
   * have up to 60.
   */
  regexWays: 65_536,
} as const;

/** What a limit is called in errors. */
export type LimitName = keyof typeof limits;

/**
 * A number that a file states, if it is within its limit.
 * @throws DataError naming the limit
 */
export function withinLimit(name: LimitName, value: number, where: string, what: string): number {
  if (value <= limits[name]) return value;
  throw overLimit(name, where, what, String(value));
}

/** The error for what is beyond a limit, where the number itself is not at hand. */
export function overLimit(name: LimitName, where: string, what: string, received: string): DataError {
  return new DataError({
    where,
    expected: `at most ${limits[name]} ${what} (limit ${name})`,
    received,
    fix: "use a file that you trust; real ones have far fewer",
  });
}
