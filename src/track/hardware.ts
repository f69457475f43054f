import { arch, availableParallelism, cpus, platform, totalmem } from "node:os";

/** What a run was computed on. */
export interface Hardware {
  /** The processor, as the system names it. */
  processor: string;
  /** Logical ones that this process may use. */
  cores: number;
  memoryBytes: number;
  /** Such as "linux x64". */
  system: string;
  /** Another device that computed, such as "NVIDIA H100". */
  accelerator?: string;
}

/** The machine that this program runs on. @param accelerator a device that computes in place of the CPU */
export function thisHardware(accelerator?: string): Hardware {
  return {
    processor: cpus()[0]?.model.trim() || "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${platform()} ${arch()}`,
    ...(accelerator !== undefined && { accelerator }),
  };
}
