/** Parts of ONNX models, as the protocol buffers want them. */
import { create } from "@bufbuild/protobuf";
import type { DType } from "../base/index.ts";
import type { Shape } from "../ir/index.ts";
import { type OnnxAttributes, type OnnxDomain, OnnxFloat, onnxTypeCode } from "../ops/index.ts";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./onnx-pb.ts";

/** Versions written into the model: the newest that every ONNX Runtime we support accepts. */
const IR_VERSION = 10n;
const OPSET_VERSION = 21n;

interface ModelParts {
  /** Of operators beyond the standard, too. */
  domains: Iterable<OnnxDomain>;
  node: NodeProto[];
  initializer: TensorProto[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
}

export function modelProto({ domains, ...graph }: ModelParts): ModelProto {
  const beyond = [...domains].filter(Boolean);
  return create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: "kindling",
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: "", version: OPSET_VERSION }),
      ...beyond.map((domain) => create(OperatorSetIdProtoSchema, { domain, version: 1n })),
    ],
    graph: create(GraphProtoSchema, { name: "kindling", ...graph }),
  });
}

interface NodeParts {
  opType: string;
  domain?: OnnxDomain;
  name?: string;
  input: readonly string[];
  output: readonly string[];
  attributes?: OnnxAttributes;
}

export function nodeProto({ input, output, attributes = {}, ...rest }: NodeParts): NodeProto {
  const attribute = Object.entries(attributes).flatMap(attributeProto);
  return create(NodeProtoSchema, { ...rest, input: [...input], output: [...output], attribute });
}

/** A graph that a node such as Loop runs. */
export function graphAttribute(name: string, graph: GraphProto): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: graph });
}

function attributeProto([name, value]: [string, OnnxAttributes[string]]): AttributeProto[] {
  if (value === undefined) return [];
  if (value instanceof OnnxFloat)
    return [create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.value })];
  if (typeof value === "number")
    return [create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) })];
  if (typeof value === "string") {
    return [
      create(AttributeProtoSchema, {
        name,
        type: AttributeType.STRING,
        s: new TextEncoder().encode(value) as Uint8Array<ArrayBuffer>,
      }),
    ];
  }
  return [create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) })];
}

/** A value of known dtype and unknown shape. */
export function elementInfo(name: string, dtype: DType) {
  const tensor = create(TypeProto_TensorSchema, { elemType: onnxTypeCode[dtype] });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value: tensor } }),
  });
}

/** A value of known dtype and shape, whose symbols are named. */
export function valueInfo(name: string, dtype: DType, shape: Shape) {
  const dim = shape.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        typeof size === "number" ? { case: "dimValue", value: BigInt(size) } : { case: "dimParam", value: size.text },
    }),
  );
  const tensor = create(TypeProto_TensorSchema, {
    elemType: onnxTypeCode[dtype],
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value: tensor } }),
  });
}
