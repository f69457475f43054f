/** The ways to exchange parts of a model that exists. */
import { ShapeError } from "../base/index.ts";
import { Module, Parameter, prefixOf } from "./module.ts";
import { EmbeddingTable, Projection } from "./projection.ts";

/** All modules of a model with their paths of checkpoint names, outer ones first. What is held twice is listed once. */
export function* namedModules(model: Module): Generator<[path: string, module: Module], void, void> {
  const seen = new Set<Module>();
  function* visit(module: Module, path: string): ReturnType<typeof namedModules> {
    if (seen.has(module)) return;
    seen.add(module);
    yield [path, module];
    for (const { path: inner, member } of module.members(prefixOf(path)))
      if (member instanceof Module) yield* visit(member, inner);
  }
  yield* visit(model, "");
}

/** Projections of a model that have the same input, as its modules say: queries, keys and values of a layer. */
export function projectionsOfOneInput(model: Module): Projection[][] {
  return [...namedModules(model)].flatMap(([, module]) =>
    (module.sharedInputs ?? []).map((fields) =>
      Object.entries(module)
        .filter(([field]) => fields.includes(field))
        .flatMap(([, projection]) => (projection instanceof Projection ? [projection] : [])),
    ),
  );
}

/**
 * Exchanges modules of a model: the one way to put in quantized layers, adapters, pruned layers. `replace` is called
 * once for each module inside the model, outer ones first, with its path of checkpoint names; what it returns takes the
 * module's place in all fields that hold it, and undefined leaves it and goes on inside of it. Nothing changes unless
 * everything fits.
 *
 * Generators take the new layers from the next text on. A function that was compiled has been traced with the old ones,
 * and goes on with them: so do pipelines and a training that exist already. Exchange layers first, or make them anew.
 * @throws ShapeError when a replacement cannot do what it replaces does: a projection of other sizes, for example
 *
 * @example
 * const model = new MultiHeadAttention({ hiddenSize: 4, numHeads: 2 }, randomKey(0));
 * const plain = new Linear({ inFeatures: 4, outFeatures: 4, bias: false }, randomKey(1));
 * mapModules(model, (path) => (path === "q_proj" ? plain : undefined));
 * model.parameterCount(); // 76
 */
export function mapModules(model: Module, replace: (path: string, module: Module) => Module | undefined): void {
  const replacements = new Map<Module, Module | undefined>();
  const exchanges: (() => void)[] = [];
  const visit = (holder: Module, prefix: string) => {
    for (const { path, member, exchange } of holder.members(prefix)) {
      if (!(member instanceof Module)) continue;
      if (!replacements.has(member)) {
        const replacement = replace(path, member);
        if (replacement) requireFit(path, member, replacement);
        replacements.set(member, replacement);
        if (!replacement) visit(member, prefixOf(path));
      }
      const replacement = replacements.get(member);
      if (replacement) exchanges.push(() => exchange(replacement));
    }
  };
  visit(model, "");
  for (const exchange of exchanges) exchange();
}

/**
 * Exchanges parameters of a model, such as by those that are stored in another dtype; undefined leaves one as it is. A
 * parameter that is held twice is exchanged in all places.
 * @throws ShapeError for a parameter of another shape
 */
export function mapParameters(
  model: Module,
  replace: (path: string, parameter: Parameter) => Parameter | undefined,
): void {
  const replacements = new Map<Parameter, Parameter | undefined>();
  const exchanges: (() => void)[] = [];
  for (const [modulePath, module] of namedModules(model)) {
    for (const { path, member, exchange } of module.members(prefixOf(modulePath))) {
      if (!(member instanceof Parameter)) continue;
      if (!replacements.has(member)) replacements.set(member, replace(path, member));
      const replacement = replacements.get(member);
      if (!replacement) continue;
      if (String(replacement.shape) !== String(member.shape))
        throw misfit(path, `a parameter [${member.shape.join(", ")}]`, `[${replacement.shape.join(", ")}]`);
      exchanges.push(() => exchange(replacement));
    }
  }
  for (const exchange of exchanges) exchange();
}

/** What a module can do, as far as those who hold it must know. */
function describeRole(module: Module): string {
  if (module instanceof Projection) return `a projection ${module.inFeatures} -> ${module.outFeatures}`;
  if (module instanceof EmbeddingTable) return `a table of ${module.numEmbeddings} vectors of ${module.embeddingDim}`;
  return "forward" in module ? "a module with forward" : "a module";
}

function requireFit(path: string, module: Module, replacement: Module): void {
  const isAnyModule = !(module instanceof Projection) && !(module instanceof EmbeddingTable) && !("forward" in module);
  const [expected, received] = [describeRole(module), describeRole(replacement)];
  const isAnyForward = expected === "a module with forward" && "forward" in replacement;
  if (!isAnyModule && !isAnyForward && expected !== received) throw misfit(path, expected, received);
}

const misfit = (path: string, expected: string, received: string): ShapeError =>
  new ShapeError({
    where: `replacing ${path}`,
    expected,
    received,
    fix: "make the replacement of the sizes of what it replaces, or return undefined for this path",
  });
