// @ts-check
/** The report of the check as Markdown, from what the parts have reported so far. */

/**
 * @typedef {object} Outcome
 * @property {string} name
 * @property {"not run" | "running" | "done" | "failed" | "out of time"} state
 * @property {number} [seconds]
 * @property {string} [reason]
 * @property {any} [result] what the part reported last
 * @property {string} [stderr] the end of it, of a part that failed
 */

/**
 * @typedef {{ provider: string, machine: Record<string, any>, vulkan: Record<string, any>, isSmallest: boolean, parts:
 * readonly Outcome[] }} Report
 */

/** @param {readonly string[]} head @param {readonly (readonly unknown[])[]} rows */
function table(head, rows) {
  /** @param {readonly unknown[]} cells */
  const line = (cells) => `| ${cells.map((cell) => String(cell ?? "").replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** @param {unknown} value @param {number} [digits] */
const number = (value, digits = 1) =>
  typeof value === "number" && Number.isFinite(value) ? value.toFixed(digits) : "-";

/** @param {Report} report */
export function markdownOf(report) {
  const { provider, machine, vulkan, isSmallest, parts } = report;
  /** @param {string} name */
  const resultOf = (name) => parts.find((part) => part.name === name)?.result;
  return [
    `# GPU check: ${provider}`,
    ...(isSmallest ? ["At the smallest sizes: the times say nothing."] : []),
    machineLines(machine, vulkan, resultOf("adapter")),
    "## Parts",
    table(
      ["part", "state", "s", "why"],
      parts.map(({ name, state, seconds, reason }) => [name, state, seconds, reason]),
    ),
    ...goldenLines(parts),
    ...programLines(resultOf("programs")),
    ...trainingLines(resultOf("training")),
    ...modelLines(resultOf("model")),
    ...fallbackLines(resultOf("fallbacks")),
    ...stepLines(parts, resultOf("PyTorch steps")),
    ...decodeLines(parts, resultOf("PyTorch decode")),
    ...cycleLines(resultOf("cycles")),
    ...lostLines(resultOf("lost")),
    ...parts.flatMap(({ name, stderr }) => (stderr ? [`## Errors of ${name}`, `\`\`\`\n${stderr}\n\`\`\``] : [])),
  ].join("\n\n");
}

/** @param {Record<string, any>} machine @param {Record<string, any>} vulkan @param {any} adapter */
function machineLines(machine, vulkan, adapter) {
  const rows = [
    ["date", machine.date],
    ["card", machine.nvidiaSmi ?? "nvidia-smi is not there"],
    ["processor", `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Node ${machine.node}`],
    ["PyTorch", machine.torch?.answer ?? "none"],
    ["Vulkan's loader", vulkan.loader ?? "none but the archive's"],
    ["Vulkan's driver", vulkan.drivers.join(", ") || "none"],
    ["file that names it", vulkan.manifest ?? "none"],
    ...(vulkan.notes ?? []).map((/** @type {string} */ note) => ["note", note]),
    ...(vulkan.missing ?? []).map((/** @type {string} */ what) => ["missing", what]),
    ...(adapter?.vulkanFailure ? [["Vulkan", adapter.vulkanFailure]] : []),
    ...(adapter?.vulkan ?? []).map((/** @type {any} */ device) => ["Vulkan shows", JSON.stringify(device)]),
    ...["webgpu", "cuda"].flatMap((name) => (adapter?.[name] ? [[name, JSON.stringify(adapter[name])]] : [])),
  ];
  return table(["what", "here"], rows);
}

/** @param {readonly Outcome[]} parts */
function goldenLines(parts) {
  const results = parts.filter(({ name, result }) => name.startsWith("golden") && result).map(({ result }) => result);
  if (results.length === 0) return [];
  const worst = results.flatMap(({ dtype, ops }) =>
    Object.entries(ops)
      .filter(([, { failed }]) => failed > 0)
      .map(([name, { passed, failed, failures }]) => [name, dtype, passed, failed, failures.join("; ")]),
  );
  const largest = results.flatMap(({ dtype, ops }) =>
    Object.entries(ops)
      .filter(([, { passed }]) => passed > 0)
      .map(([name, op]) => [name, dtype, op.largest.toExponential(1), op.largest])
      .sort((a, b) => b[3] - a[3])
      .slice(0, 10)
      .map((row) => row.slice(0, 3)),
  );
  return [
    "## Golden cases of ops",
    table(
      ["dtype", "share of ops", "cases", "passed", "failed", "ops", "all were run", "devices"],
      results.map(({ dtype, share, cases, passed, failed, ops, isComplete, devices, failure }) => [
        dtype,
        share,
        cases,
        passed,
        failed,
        Object.keys(ops).length,
        failure ?? (isComplete ? "yes" : "no"),
        devices,
      ]),
    ),
    ...(worst.length > 0 ? [table(["op", "dtype", "passed", "failed", "first failures"], worst)] : []),
    "The largest differences among the cases that passed:",
    table(["op", "dtype", "difference"], largest),
  ];
}

/** @param {any} result */
function programLines(result) {
  if (!result) return [];
  const { passed, failed, largest, failures } = result;
  return [
    "## Random programs",
    `${passed} passed, ${failed} failed; largest difference ${number(largest, 6)}.`,
    ...failures.map((/** @type {string} */ text) => `- ${text}`),
  ];
}

/** @param {any} result */
function trainingLines(result) {
  if (!result) return [];
  const rows = ["f32", "f16", "f32, dropout"]
    .filter((name) => result[name])
    .map((name) => {
      const { steps, first, last, largestOfTenSteps, largest, seconds, stepMs, failure } = result[name];
      return [
        name,
        steps,
        number(seconds, 1),
        number(stepMs, 1),
        number(first, 5),
        number(last, 5),
        number(largestOfTenSteps, 6),
        number(largest, 6),
        failure,
      ];
    });
  return [
    "## Training a GPT",
    `On the CPU in f32 the loss goes from ${number(result.cpu.first, 5)} to ${number(result.cpu.last, 5)} in ${result.cpu.steps} of ${result.steps} steps, ${number(result.cpu.seconds, 1)} s.`,
    table(
      [
        "on the card",
        "steps",
        "seconds",
        "ms each",
        "first",
        "last",
        "difference, 10 steps",
        "difference, all",
        "failure",
      ],
      rows,
    ),
  ];
}

/** @param {any} result */
function modelLines(result) {
  if (!result) return [];
  const { model, numbers, largest } = result;
  return ["## A real model", `${model}: ${numbers} answers, at most ${number(largest, 7)} from those of the CPU.`];
}

/** @param {any} result */
function fallbackLines(result) {
  if (!result) return [];
  const { isComplete: _, ...workloads } = result;
  const rows = Object.entries(workloads).map(([name, { fallbacks, copies, failure }]) => [
    name,
    failure ?? (fallbacks.join(", ") || "none"),
    copies?.join(", "),
  ]);
  const kernels = Object.entries(workloads).flatMap(([name, { kernels }]) =>
    kernels
      ? [
          `${name}, the longest kernels of a step:`,
          table(
            ["operator", "ms", "calls"],
            kernels.slice(0, 10).map((/** @type {any} */ row) => [row.name, number(row.totalMs, 3), row.calls]),
          ),
        ]
      : [],
  );
  return ["## What is left to the CPU", table(["step", "on the CPU", "copies"], rows), ...kernels];
}

/** @param {readonly Outcome[]} parts @param {any} torch */
function stepLines(parts, torch) {
  const steps = parts.filter(({ name, result }) => name.startsWith("step ") && result);
  if (steps.length === 0 && !torch) return [];
  const rows = steps.map(({ name, result: { f32, f16 } }) => {
    const workload = name.slice("step ".length);
    const theirs = torch?.[workload];
    return [
      workload,
      f32.failure ?? number(f32.ms, 2),
      f16?.failure ?? number(f16?.ms, 2),
      number(theirs?.f32?.ms, 2),
      number(theirs?.bf16?.ms, 2),
      number(theirs?.f32?.ms / f32.ms, 2),
      number(theirs?.bf16?.ms / f16?.ms, 2),
      `${number(f32.firstMs / 1000)} s`,
      f32.cardMiB,
      number(theirs?.f32?.cardMiB, 0),
    ];
  });
  const head = ["step", "f32, ms", "f16, ms", "PyTorch f32", "PyTorch bf16", "ratio f32", "ratio 16 bits"];
  return ["## Step times", table([...head, "first step", "card MiB", "PyTorch MiB"], rows)];
}

/** @param {readonly Outcome[]} parts @param {any} torch */
function decodeLines(parts, torch) {
  const ours = parts.filter(({ name, result }) => name.startsWith("decode ") && result);
  const rows = ours.map(({ name, result }) => [`Kindling ${name.slice("decode ".length)}`, result]);
  for (const name of ["f32", "float16", "bfloat16"]) if (torch?.[name]) rows.push([`PyTorch ${name}`, torch[name]]);
  if (rows.length === 0) return [];
  return [
    "## A Llama of 1.1 B: prompts of 512 tokens, 64 tokens written",
    table(
      ["by", "prefill, tokens/s", "decode, tokens/s", "card MiB", "failure"],
      rows.map(([name, { prefillTokensPerSecond, decodeTokensPerSecond, cardMiB, failure }]) => [
        name,
        number(prefillTokensPerSecond, 0),
        number(decodeTokensPerSecond, 1),
        cardMiB,
        failure,
      ]),
    ),
  ];
}

/** @param {any} result */
function cycleLines(result) {
  if (!result) return [];
  return [
    "## Compile, run, dispose",
    `${result.cycles} times, ${number(result.msEach)} ms each.`,
    table(
      ["after", "card MiB", "resident MiB"],
      result.memory.map((/** @type {any} */ { cycle, cardMiB, residentMiB }) => [cycle, cardMiB, residentMiB]),
    ),
  ];
}

/** @param {any} result */
function lostLines(result) {
  if (!result) return [];
  const { isComplete: _, ...rows } = result;
  return ["## More memory than there is", table(["what", "became of it"], Object.entries(rows))];
}
