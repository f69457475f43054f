/**
 * Folders are layers, and imports only go down: each folder lists the others it may import from. What is plain JavaScript is for workers, which
 * cannot import an index.ts. See docs/design.md.
 */
const below = {
  ir: [],
  ops: ["ir"],
  autodiff: ["ir", "ops"],
  lower: ["ir", "ops"],
  runtime: ["ir", "lower", "files"],
  tensor: ["ir", "ops", "autodiff", "lower", "runtime"],
  files: ["ir"],
  hub: ["ir", "files"],
  nn: ["ir", "tensor"],
  onnx: ["ir", "ops", "autodiff", "files", "lower", "tensor", "nn"],
  optim: ["ir", "tensor", "nn"],
  tokenizers: ["ir", "files"],
  processors: ["ir", "files", "tensor"],
  data: ["ir", "ops", "files", "tokenizers"],
  models: ["ir", "files", "hub", "tensor", "nn", "onnx", "tokenizers"],
  train: ["ir", "ops", "files", "tensor", "nn", "optim", "tokenizers", "data", "models"],
  generate: ["ir", "ops", "tensor", "nn", "models", "tokenizers"],
  pipelines: ["ir", "files", "hub", "tensor", "models", "generate", "tokenizers", "processors"],
  serve: ["ir", "generate", "tokenizers"],
  cli: ["ir", "hub", "runtime", "files", "tensor", "tokenizers", "models", "train", "generate", "serve"],
};

const isTest = "\\.test\\.ts$|^src/testing/";
const layers = Object.entries(below).map(([folder, allowed]) => ({
  name: `${folder}-imports-only-what-is-below`,
  severity: "error",
  from: { path: `^src/${folder}/`, pathNot: isTest },
  to: {
    path: "^src/",
    pathNot: [`^src/${folder}/`, ...allowed.map((name) => `^src/${name}/(index\\.ts|[\\w-]+\\.mjs)$`)],
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
    { name: "no-unknown-modules", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "types", "default"] },
  },
};
