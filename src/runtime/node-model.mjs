// @ts-check
/**
 * A model of one node, y = opType(x), for tensors of any shape, in protobuf's wire format. Identity moves numbers to a
 * device and back, which ONNX Runtime has no other way for in Node; Cast changes their type (`to`).
 * @param {{ type: number, opType?: string, domain?: string, to?: number }} node types are ONNX's TensorProto.DataType
 */
export function nodeModel({ type, to, opType = to === undefined ? "Identity" : "Cast", domain = "" }) {
  const text = (/** @type {string} */ s) => [...s].map((c) => c.charCodeAt(0));
  /** @param {number} field @param {number[]} body */
  const message = (field, body) => [field * 8 + 2, body.length, ...body];
  /** ValueInfoProto. @param {string} name @param {number} elementType */
  const value = (name, elementType) => [...message(1, text(name)), ...message(2, message(1, [8, elementType]))];
  // AttributeProto: name, i, type INT
  const attribute = to === undefined ? [] : message(5, [...message(1, text("to")), 24, to, 0xa0, 1, 2]);
  const node = [
    ...message(1, text("x")),
    ...message(2, text("y")),
    ...message(4, text(opType)),
    ...attribute,
    ...message(7, text(domain)),
  ];
  const graph = [
    ...message(1, node),
    ...message(2, text("g")),
    ...message(11, value("x", type)),
    ...message(12, value("y", to ?? type)),
  ];
  const extra = domain ? message(8, [...message(1, text(domain)), 16, 1]) : [];
  return Uint8Array.from([8, 10, ...message(7, graph), ...message(8, [16, 21]), ...extra]); // ir_version 10, opset 21
}
