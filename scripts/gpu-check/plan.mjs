// @ts-check
/** What the check runs, in order of worth: each part in a process of its own, with a time limit of its own. */

/**
 * @typedef {object} Part
 * @property {string} name of the part in the report
 * @property {string} file in parts/
 * @property {string[]} args of the part
 * @property {number} limitSeconds after which it is killed; what it has reported until then stays
 * @property {boolean} isTimed it measures time, so that nothing else may run beside it
 * @property {boolean} [isPython] by a Python with PyTorch, where there is one
 * @property {boolean} [needsCard] it is not run where the provider that is checked does not work
 */

const trainSteps = ["gpt-S", "gpt-M", "gpt-L", "gpt2", "resnet18", "lstm", "bert"];

/** @param {string} name @param {number} limitSeconds @param {string[]} [args] @returns {Part} */
const correctness = (name, limitSeconds, args = []) => ({
  name: [name, ...args].join(" "),
  file: `${name}.mjs`,
  args,
  limitSeconds,
  isTimed: false,
  needsCard: true,
});

/** @param {string} file @param {number} limitSeconds @param {string[]} args @returns {Part} */
const timed = (file, limitSeconds, args) => ({
  name: [file, ...args].join(" "),
  file: `${file}.mjs`,
  args,
  limitSeconds,
  isTimed: true,
  needsCard: true,
});

/** @type {readonly Part[]} */
export const plan = [
  { name: "adapter", file: "adapter.mjs", args: [], limitSeconds: 30, isTimed: true },
  ...["1/4", "2/4", "3/4", "4/4"].map((share) => correctness("golden", 140, ["f32", share])),
  ...["1/2", "2/2"].map((share) => correctness("golden", 140, ["f16", share])),
  correctness("programs", 120),
  correctness("training", 120),
  correctness("model", 60),
  correctness("fallbacks", 100),
  ...trainSteps.map((name) => timed("step", 35, [name])),
  { name: "PyTorch steps", file: "steps.py", args: [], limitSeconds: 90, isTimed: true, isPython: true },
  timed("decode", 60, ["f16"]),
  timed("decode", 75, ["4-bit"]),
  { name: "PyTorch decode", file: "decode.py", args: [], limitSeconds: 60, isTimed: true, isPython: true },
  timed("cycles", 60, []),
  timed("lost", 40, []),
  timed("decode", 45, ["f32"]), // what time is left: f16 is what decoding runs in
];
