/** Classification of texts. */
import { z } from "zod";
import { DataError } from "../base/index.ts";
import { batchesOf, type ClassifiedText, readExamples, type Rows, type Source } from "../data/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { cast, softmax, type Tensor, tensor } from "../tensor/index.ts";
import { type Objective, supervised } from "../train/index.ts";
import { defineMethod, type MethodContext } from "./method.ts";
import { datasetsOf, openData } from "./parts/datasets.ts";
import { openModel, openTokenizer, requireVocabulary, trainedParameters } from "./parts/models.ts";
import type { SharedConfig } from "./config/schema.ts";

interface ClassBatch {
  inputIds: Tensor<"i32">;
  attentionMask: Tensor<"bool">;
  tokenTypeIds?: Tensor<"i32">;
  labels: Tensor<"i32">;
}

const settings = {
  labels: z.array(z.string()).min(2).optional().describe("Class names, in the order of their ids. Default: as in the data."),
};
