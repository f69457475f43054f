/** The graph: nodes with typed values, symbolic sizes, a printer and a checker. Imports base/. */

export { checkGraph } from "./checker.ts";
export { applyOp, countUses, dependents, Graph, rewrite, substitute, topologicalOrder } from "./graph.ts";
export {
  type Attribute,
  type Attributes,
  ConstantOp,
  constantValue,
  describe,
  Node,
  type Op,
  PlaceholderOp,
  placeholder,
  type TensorType,
  Value,
} from "./node.ts";
export { nameNode, printGraph } from "./printer.ts";
export {
  addSizes,
  broadcastShapes,
  divideSizes,
  evaluateSize,
  isStatic,
  multiplySizes,
  normalizeAxis,
  requireStatic,
  type Shape,
  type Size,
  SymbolicSize,
  shapesEqual,
  sizeOf,
  sizesEqual,
  symbol,
  symbolsOf,
} from "./size.ts";
