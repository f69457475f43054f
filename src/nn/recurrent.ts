import { known, ShapeError } from "../base/index.ts";
import {
  add,
  arange,
  concat,
  less,
  matmul,
  mul,
  type RandomKey,
  relu,
  reshape,
  scan,
  sigmoid,
  slice,
  split,
  stack,
  sub,
  type Tensor,
  tanh,
  transpose,
  unsqueeze,
  where,
  zeros,
} from "../tensor/index.ts";
import { dropout } from "./dropout.ts";
import { uniformInit } from "./init.ts";
import { Module, Parameter } from "./module.ts";
import { requireSizes } from "./sizes.ts";

/** Kind, sizes and number of layers of a `Recurrent`, as torch.nn.RNN, LSTM and GRU have them. */
export interface RecurrentConfig {
  /** Plain RNN, LSTM or GRU. */
  kind: "rnn" | "lstm" | "gru";
  /** Width of the sequence that comes in, I. */
  inputSize: number;
  /** Width of a state, H. */
  hiddenSize: number;
  /** Layers on top of one another. @default 1 */
  numLayers?: number;
  /** A second one reads from the end; outputs are both. @default false */
  isBidirectional?: boolean;
  /** Each cell adds one bias to the input and one to the state, as in PyTorch. @default true */
  bias?: boolean;
  /** What a plain RNN puts the sum of input and state through. @default "tanh" */
  nonlinearity?: "tanh" | "relu";
  /** LSTM: outputs are brought to so many numbers, P. Sak et al. 2014, arXiv:1402.1128. @default none */
  projSize?: number;
  /** Probability of dropping a number between two layers, in runs that have a key. @default 0 */
  dropout?: number;
}

const recurrentNames = {
  ...({ kind: true, inputSize: true, hiddenSize: true, numLayers: true, isBidirectional: true } as const),
  ...({ bias: true, nonlinearity: true, projSize: true, dropout: true } as const),
};

/** States of all cells at one time: layer after layer, in each the forward direction first. */
export interface RecurrentState {
  /** Outputs: [layers * directions, B, H], with projSize [layers * directions, B, P]. */
  h: Tensor<"f32">;
  /** Cell states of an LSTM: [layers * directions, B, H]. */
  c?: Tensor<"f32">;
}

/** What `Recurrent.forward` takes besides the sequence. */
export interface RecurrentInputs {
  /** States before the first step. @default zeros */
  initial?: RecurrentState;
  /**
   * Steps of each sequence that count, i32 [B]: beyond them outputs are 0, and states are those at the end.
   * @default all
   */
  lengths?: Tensor<"i32">;
  /** Random key of the dropout. @default none: nothing is dropped */
  key?: RandomKey;
}

/** Gates of each kind, in the order of their rows in the weights. */
const gatesOf = { rnn: 1, gru: 3, lstm: 4 } as const;
type Carry = { h: Tensor<"f32">; c: Tensor<"f32"> };

/** One direction of one layer, in PyTorch's layout. */
class Cell extends Module {
  readonly weightIh: Parameter; // [gates H, I]
  readonly weightHh: Parameter; // [gates H, H]
  readonly biasIh?: Parameter; //  [gates H]
  readonly biasHh?: Parameter; //  [gates H]
  readonly weightHr?: Parameter; // [P, H]
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;
  private readonly config: RecurrentConfig;

  constructor(config: RecurrentConfig, inputSize: number, suffix: string, key: RandomKey) {
    super();
    const { kind, hiddenSize, bias = true, projSize } = config;
    const rows = gatesOf[kind] * hiddenSize;
    const init = uniformInit(1 / Math.sqrt(hiddenSize));
    const keys = key.split(5);
    const parameter = (i: number, shape: number[]) => new Parameter(shape, init(keys[i], shape));
    this.weightIh = parameter(0, [rows, inputSize]);
    this.weightHh = parameter(1, [rows, projSize ?? hiddenSize]);
    if (bias) {
      this.biasIh = parameter(2, [rows]);
      this.biasHh = parameter(3, [rows]);
    }
    if (projSize !== undefined) this.weightHr = parameter(4, [projSize, hiddenSize]);
    const names = {
      weightIh: "weight_ih",
      weightHh: "weight_hh",
      biasIh: "bias_ih",
      biasHh: "bias_hh",
      weightHr: "weight_hr",
    };
    this.checkpointKeys = Object.fromEntries(
      Object.entries(names).map(([field, name]) => [field, `${name}_${suffix}`]),
    );
    this.config = config;
  }

  /** x: [T, B, I] -> outputs [T, B, H], and the state at the end. The inputs' part of all steps is one product. */
  forward(
    x: Tensor<"f32">,
    initial: Carry,
    lengths: Tensor<"i32"> | undefined,
    reverse: boolean,
  ): { ys: Tensor<"f32">; carry: Carry } {
    const fromInput = matmul(x, this.weightIh.value, { transposeB: true });
    const projected = this.biasIh ? add(fromInput, this.biasIh.value) : fromInput; // [T, B, gates H]
    const steps = arange(x.shape[0], "i32");
    const run = scan(
      (carry: Carry, [input, step]: [Tensor<"f32">, Tensor<"i32">]) => {
        const next = this.step(carry, input);
        if (!lengths) return { carry: next, y: next.h };
        const counts = unsqueeze(less(step, lengths), 1); // [B, 1]
        const kept = (fresh: Tensor<"f32">, old: Tensor<"f32">) => where(counts, fresh, old) as Tensor<"f32">;
        return {
          carry: { h: kept(next.h, carry.h), c: kept(next.c, carry.c) },
          y: where(counts, next.h, 0) as Tensor<"f32">,
        };
      },
      { init: initial, xs: [projected, steps] as [Tensor<"f32">, Tensor<"i32">], reverse },
    );
    return { ys: run.ys, carry: run.carry };
  }

  private step({ h, c }: Carry, input: Tensor<"f32">): Carry {
    const { kind, nonlinearity = "tanh" } = this.config;
    const product = matmul(h, this.weightHh.value, { transposeB: true });
    const hiddenGates = this.biasHh ? add(product, this.biasHh.value) : product; // [B, gates H]
    if (kind === "rnn") {
      const sum = add(input, hiddenGates);
      return { h: nonlinearity === "relu" ? relu(sum) : tanh(sum), c };
    }
    if (kind === "gru") {
      const [resetIn, updateIn, newIn] = split(input, 3, -1);
      const [resetHidden, updateHidden, newHidden] = split(hiddenGates, 3, -1);
      const fresh = tanh(add(newIn, mul(sigmoid(add(resetIn, resetHidden)), newHidden)));
      const update = sigmoid(add(updateIn, updateHidden));
      return { h: add(mul(sub(1, update) as Tensor<"f32">, fresh), mul(update, h)), c };
    }
    const [inGate, forget, cell, outGate] = split(add(input, hiddenGates), 4, -1);
    const next = add(mul(sigmoid(forget), c), mul(sigmoid(inGate), tanh(cell)));
    const output = mul(sigmoid(outGate), tanh(next));
    return { h: this.weightHr ? matmul(output, this.weightHr.value, { transposeB: true }) : output, c: next };
  }
}

/** Cells as fields of their own, so that their weights have PyTorch's names. */
class Cells extends Module {
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  constructor(cells: readonly Cell[]) {
    super();
    Object.assign(this, Object.fromEntries(cells.map((cell, i) => [`cell${i}`, cell])));
    this.checkpointKeys = Object.fromEntries(cells.map((_, i) => [`cell${i}`, ""]));
  }
}

/**
 * Recurrent layers: a plain RNN (Elman 1990), an LSTM (Hochreiter and Schmidhuber 1997, with forget gates) or a GRU
 * (Cho et al. 2014, arXiv:1406.1078), in one direction or both, in several layers. Time is a loop in the graph and not
 * unrolled. Weights have the names and layout of torch.nn.RNN, LSTM and GRU.
 */
export class Recurrent extends Module {
  readonly cells: Cells;
  protected override readonly checkpointKeys = { cells: "" };
  private readonly config: RecurrentConfig;
  private readonly list: readonly (readonly Cell[])[];

  /** @throws OptionError for a size that is no positive integer */
  constructor(config: RecurrentConfig, key: RandomKey) {
    super();
    const {
      inputSize,
      hiddenSize,
      numLayers = 1,
      isBidirectional = false,
      projSize,
    } = known("Recurrent", config, recurrentNames);
    requireSizes("Recurrent", { inputSize, hiddenSize, numLayers, projSize: projSize ?? hiddenSize });
    const directions = isBidirectional ? ["", "_reverse"] : [""];
    const outputs = (projSize ?? hiddenSize) * directions.length;
    this.list = key.split(numLayers).map((layerKey, layer) => {
      const keys = layerKey.split(directions.length);
      return directions.map(
        (direction, d) => new Cell(config, layer === 0 ? inputSize : outputs, `l${layer}${direction}`, keys[d]),
      );
    });
    this.cells = new Cells(this.list.flat());
    this.config = config;
  }

  /**
   * x: [B, T, I] -> `output` of the last layer [B, T, directions * H], and `state` at the end of all layers: h, and of
   * an LSTM c, [layers * directions, B, H]. With projSize output and h have P in place of H.
   * @throws ShapeError when x has another width
   */
  forward(
    x: Tensor<"f32">,
    { initial, lengths, key }: RecurrentInputs = {},
  ): { output: Tensor<"f32">; state: RecurrentState } {
    const { kind, inputSize, hiddenSize, projSize, dropout: probability = 0 } = this.config;
    if (x.rank !== 3 || x.shape[2] !== inputSize) {
      throw new ShapeError({
        where: "Recurrent",
        expected: `x [B, T, ${inputSize}]`,
        received: `[${x.shape.join(", ")}]`,
        fix: "check inputSize",
      });
    }
    const batch = x.shape[0];
    const states: Carry[] = [];
    let sequence = transpose(x, [1, 0, 2]); // [T, B, I]
    for (const [layer, directions] of this.list.entries()) {
      const outputs = directions.map((cell, d) => {
        const at = states.length;
        const part = (all: Tensor<"f32"> | undefined, width: number) =>
          all ? reshape(slice(all, { axis: 0, start: at, end: at + 1 }), [batch, width]) : zeros([batch, width]);
        const start = {
          h: part(initial?.h, projSize ?? hiddenSize),
          c: kind === "lstm" ? part(initial?.c, hiddenSize) : zeros([batch, 1]),
        };
        const { ys, carry } = cell.forward(sequence, start, lengths, d === 1);
        states.push(carry);
        return ys;
      });
      sequence = outputs.length === 1 ? outputs[0] : concat(outputs, -1);
      if (layer < this.list.length - 1) sequence = dropout(sequence, probability, key?.fold(layer));
    }
    const h = stack(states.map((state) => state.h));
    const state = kind === "lstm" ? { h, c: stack(states.map(({ c }) => c)) } : { h };
    return { output: transpose(sequence, [1, 0, 2]), state };
  }
}
