import { limits, overLimit } from "../base/index.ts";
import { ConstantOp, type Node } from "../ir/index.ts";

/** Largest result on the way to a constant that is worked out while importing. */
const SMALL = 2 ** 13;
/** Nodes without inputs whose numbers are known all the same. */
const known = new Set(["arange", "triangularMask"]);

/** What one import has made and found out so far. */
export class ImportProgress {
  private nodes = 0;
  private readonly answers = new Map<Node, boolean>();

  /**
   * Counts a node of the file; those of bodies count each time that they are gone through. @throws DataError beyond the
   * limit
   */
  count(where: string): void {
    if (++this.nodes > limits.onnxNodes)
      throw overLimit("onnxNodes", where, "nodes, bodies as often as they are used", "more");
  }

  /**
   * Whether a node depends on constants alone, and none of what is computed for it is large. Each node is asked once.
   */
  isConstant(root: Node): boolean {
    const stack = [root];
    while (stack.length > 0) {
      const node = stack[stack.length - 1];
      if (this.answers.has(node)) {
        stack.pop();
        continue;
      }
      const quick = quickAnswer(node);
      const open =
        quick === undefined
          ? node.inputs.filter((input) => !this.answers.has(input.node)).map((input) => input.node)
          : [];
      if (open.length > 0) stack.push(...open);
      else this.answers.set(node, quick ?? node.inputs.every((input) => this.answers.get(input.node)));
    }
    return this.answers.get(root) as boolean;
  }
}

/** The answer that needs no look at inputs. */
function quickAnswer({ op, inputs, outputs }: Node): boolean | undefined {
  if (op instanceof ConstantOp) return true;
  const isSmall = outputs.every(
    ({ shape }) =>
      shape.reduce<number>(
        (product, size) => product * (typeof size === "number" ? size : Number.POSITIVE_INFINITY),
        1,
      ) <= SMALL,
  );
  if (!isSmall) return false;
  return inputs.length === 0 ? known.has(op.name) : undefined;
}
