/** The classes of a config: those of the data, of its settings, and of the head that a checkpoint has. */
import { DataError, OptionError } from "../../base/index.ts";
import { ClassNames, type ClassValue } from "../../data/index.ts";
import type { PretrainedModel } from "../../models/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { storedLabels } from "./stored-head.ts";

/** Classes with their numbers. */
export interface ClassChoice {
  /** In the order of their numbers. */
  names: readonly string[];
  /** How many training examples, or tags, there are of each. */
  counts: readonly number[];
  /** Whether the checkpoint has a head for these classes, which is trained on. */
  isStored: boolean;
  /** The number of a class as the data writes it. @throws DataError for one that there is not */
  idOf(value: ClassValue): number;
}

/** What classes are chosen by. */
export interface ClassChoiceOptions {
  /** The classes of all training examples. */
  values: Iterable<ClassValue>;
  /** The names in their order, where the config says them. */
  labels: readonly string[] | undefined;
  /** What names of the architectures that have such a head end with: "ForTokenClassification". */
  architecture: string;
}

const isNumber = (name: string) => /^\d+$/.test(name);

/**
 * The classes of a training: as the config names them, or as the checkpoint's head does where it is for the same ones,
 * or else those of the data. Data that has numbers counts classes in the order of names.
 * @throws DataError for fewer than two classes, for a class that is not named, and for a named one without examples
 */
export async function chooseClasses(
  config: Pick<SharedConfig, "model">,
  { values, labels, architecture }: ClassChoiceOptions,
): Promise<ClassChoice> {
  const counted = ClassNames.of(values);
  const stored = await storedLabels(config, architecture);
  if (labels) requireDistinct(labels);
  const names = labels ?? counted.names;
  const size = labels ? labels.length : counted.names.length;
  const isNumbered = isCountedBy(counted.names, stored ?? names);
  const isStored =
    stored !== undefined &&
    stored.length === size &&
    (names.every((name) => stored.includes(name)) || (labels === undefined && isNumbered));
  const order = isStored ? stored : names;
  const choice = withOrder(order, counted, isCountedBy(counted.names, order));
  requireExamples(choice, counted);
  return { ...choice, isStored };
}

/** Whether the data's classes are the numbers of names that are none themselves. */
const isCountedBy = (classes: readonly string[], names: readonly string[]) =>
  classes.every((name) => isNumber(name) && Number(name) < names.length) && !names.every(isNumber);

function withOrder(
  names: readonly string[],
  counted: ClassNames,
  isNumbered: boolean,
): Pick<ClassChoice, "names" | "counts" | "idOf"> {
  const known = new ClassNames(isNumbered ? names.map((_, id) => String(id)) : names);
  const counts = names.map(() => 0);
  for (const [i, name] of counted.names.entries()) {
    const id = known.names.indexOf(name);
    if (id >= 0) counts[id] += counted.counts[i];
    else
      throw new DataError({
        where: `data, the class ${JSON.stringify(name)}`,
        expected: `one of the labels ${names.slice(0, 10).join(", ")}`,
        received: `${counted.counts[i]} training examples of another`,
        fix: "name it in method.labels too, or correct the rows",
      });
  }
  return { names, counts, idOf: (value) => known.idOf(value) };
}

/** The number of a class in a row. @throws DataError naming the place of the row */
export function numberOf(value: ClassValue, { names, idOf }: ClassChoice, place: string): number {
  try {
    return idOf(value);
  } catch (cause) {
    throw new DataError({
      where: place,
      expected: `a class that there are training examples of: ${names.slice(0, 10).join(", ")}`,
      received: JSON.stringify(value),
      fix: "correct the row, or add training examples of the class",
      cause,
    });
  }
}

function requireExamples({ names, counts }: Pick<ClassChoice, "names" | "counts">, { names: seen }: ClassNames): void {
  if (seen.length < 2)
    throw new DataError({
      where: "data",
      expected: "examples of at least two classes to learn from",
      received: `only ${JSON.stringify(seen[0])}`,
      fix: "add examples of other classes, or name the right column: columns: { label: ... }",
    });
  const empty = names.filter((_, id) => counts[id] === 0);
  if (empty.length === 0) return;
  throw new DataError({
    where: "data",
    expected: "training examples of every class",
    received: `none of ${empty.slice(0, 10).join(", ")}`,
    fix: "add examples of them, or leave them out of method.labels",
  });
}

function requireDistinct(labels: readonly string[]): void {
  if (new Set(labels).size === labels.length) return;
  throw new OptionError({
    where: "config, method.labels",
    expected: "each class once",
    received: labels.join(", ").slice(0, 100),
    fix: "name each class once",
  });
}

/** How many times as many examples the largest class has than the smallest before it is spoken of. */
const IMBALANCE = 10;

/**
 * Warns where some classes have many more examples than others.
 * @param fix what can be done about it
 */
export function warnOfImbalance(
  { names, counts }: Pick<ClassChoice, "names" | "counts">,
  { onWarning }: Pick<MethodContext, "onWarning">,
  fix = "classWeights: balanced weighs them",
): void {
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  if (most < IMBALANCE * least) return;
  const shown = (count: number) => `${names[counts.indexOf(count)]} ${count}`;
  const note = `the classes are imbalanced: ${shown(most)} examples, ${shown(least)}; ${fix}`;
  onWarning({ where: "data", notes: [note] });
}

/**
 * Weights of classes by which each counts the same in all: examples / (classes * examples of the class), scikit-learn's
 * "balanced".
 */
export function balancedWeights(counts: readonly number[]): Float32Array {
  const all = counts.reduce((a, b) => a + b, 0);
  return Float32Array.from(counts, (count) => all / (counts.length * count));
}

/**
 * A config whose LoRA or IA3 has the parts of a model that are not its base anew and whole, as peft does for heads.
 * @throws OptionError for an adapter that would leave a new head as it began
 */
export function withTrainedHead<C extends SharedConfig>(config: C, model: PretrainedModel, isNew: boolean): C {
  const { adapter } = config;
  if (!adapter || adapter.from !== undefined || "modulesToSave" in adapter) return config;
  if (adapter.type !== "lora" && adapter.type !== "ia3") {
    if (!isNew) return config;
    throw new OptionError({
      where: "config, adapter.type",
      expected: "lora or ia3, which train the new head of the classes too",
      received: adapter.type,
      fix: "choose one of them, or a model that has a head for these classes",
    });
  }
  const { prefix } = model.family;
  const outside = [...model.namedParameters().keys()].filter((key) => !key.startsWith(`${prefix ?? "model"}.`));
  const modulesToSave = [...new Set(outside.map((key) => key.split(".")[0]))];
  return { ...config, adapter: { ...adapter, modulesToSave } };
}
