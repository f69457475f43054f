/**
 * Folders are layers, and imports only go down: each folder lists the others it may import from. What is plain JavaScript is for workers, which
 * cannot import an index.ts. See docs/design.md.
 */
const below = {
  base: [],
  ir: ["base"],
  ops: ["base", "ir"],
  autodiff: ["base", "ir", "ops"],
  lower: ["base", "ir", "ops"],
  runtime: ["base", "ir", "lower", "files"],
  tensor: ["base", "ir", "ops", "autodiff", "lower", "runtime"],
  files: ["base"],
  hub: ["base", "files"],
  nn: ["base", "ir", "tensor"],
  onnx: ["base", "ir", "ops", "autodiff", "files", "lower", "tensor", "nn"],
  optim: ["base", "tensor", "nn"],
  losses: ["base", "ops", "tensor"],
  metrics: ["base"],
  tokenizers: ["base", "files", "hub"],
  processors: ["base", "files", "hub", "tensor"],
  data: ["base", "ops", "files", "hub", "http", "tensor", "tokenizers"],
  augment: ["base", "ops", "files", "tensor", "processors"],
  models: ["base", "ir", "files", "hub", "tensor", "nn", "onnx", "tokenizers"],
  peft: ["base", "files", "hub", "tensor", "nn", "models"],
  track: ["base", "files", "http"],
  train: ["base", "ir", "ops", "files", "tensor", "nn", "losses", "optim", "tokenizers", "data", "models", "metrics"],
  tune: ["base", "files", "metrics"],
  generate: ["base", "ir", "ops", "files", "tensor", "nn", "models", "peft", "tokenizers"],
  pipelines: ["base", "ir", "files", "hub", "tensor", "models", "generate", "tokenizers", "processors"],
  evaluate: [...["base", "files", "hub", "tensor", "tokenizers", "data", "models", "metrics", "generate", "pipelines"]],
  methods: [
    ...["base", "files", "hub", "tensor", "nn", "losses", "optim", "metrics", "tokenizers", "processors", "data"],
    ...["augment", "models", "peft", "track", "train", "generate", "pipelines", "evaluate"],
  ],
  advise: ["base", "ir", "files", "hub", "lower", "tensor", "nn", "models", "peft", "train"],
  keys: ["base", "files"],
  http: ["base"],
  serve: ["base", "files", "keys", "generate", "tokenizers", "processors", "pipelines"],
  gateway: ["base", "files", "keys", "http", "serve"],
  compare: ["base", "files", "http", "load-test", "gateway"],
  "load-test": ["base", "files", "http"],
  deploy: ["base", "files", "hub"],
  cli: [
    "base",
    "ir",
    "hub",
    "runtime",
    "files",
    "tensor",
    "tokenizers",
    "models",
    "peft",
    "processors",
    "data",
    "metrics",
    "track",
    "train",
    "tune",
    "generate",
    "evaluate",
    "methods",
    "pipelines",
    "keys",
    "http",
    "serve",
    "load-test",
    "gateway",
    "compare",
    "deploy",
    "advise",
  ],
};

/** "#system", what there is of Node: rooms that know files take it from files/, which is below them. */
const system = "^src/files/system-node\\.ts$";

const isTest = "\\.test\\.ts$|^src/testing/";
const layers = Object.entries(below).map(([folder, allowed]) => ({
  name: `${folder}-imports-only-what-is-below`,
  severity: "error",
  from: { path: `^src/${folder}/`, pathNot: isTest },
  to: {
    path: "^src/",
    pathNot: [`^src/${folder}/`, system, ...allowed.map((name) => `^src/${name}/(index\\.ts|[\\w-]+\\.mjs)$`)],
  },
}));

module.exports = {
  forbidden: [
    ...layers,
    {
      name: "no-development-dependencies",
      severity: "error",
      from: { path: "^src", pathNot: isTest },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["npm-peer"] },
    },
    {
      name: "commands-import-when-they-run-what-they-alone-need",
      comment: "Every start of the program would load it.",
      severity: "error",
      from: { path: "^src/cli/", pathNot: isTest },
      to: {
        path: "^src/(methods|serve|gateway|compare|deploy|load-test|tune|advise)/|^node_modules/yaml/",
        dynamic: false,
        dependencyTypesNot: ["type-only"],
      },
    },
    {
      name: "no-circular",
      comment: "A file that imports itself, by way of others, loads or not by the order of imports; types count too.",
      severity: "error",
      from: { path: "^src" },
      to: { circular: true },
    },
    { name: "no-unknown-modules", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["kindling-source", "import", "types", "default"],
    },
  },
};
