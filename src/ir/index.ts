/** The graph: nodes with typed values, symbolic sizes, a printer and a checker. Imports base/. */

export { checkGraph } from "./checker.ts";
export {
  type Attribute,
  type Attributes,
  ConstantOp,
  constantsOf,
  constantValue,
  describe,
  Graph,
  Node,
  type Op,
  PlaceholderOp,
  placeholder,
  type TensorType,
  topologicalOrder,
  Value,
} from "./graph.ts";
export { nameNode, printGraph } from "./printer.ts";
export { applyOp, countUses, dependents, rewrite, substitute } from "./rewrite.ts";
export {
  addSizes,
  broadcastShapes,
  divideSizes,
  evaluateSize,
  isSize,
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
