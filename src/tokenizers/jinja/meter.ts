/**
 * What a rendering has used of its limits. A template comes with a model: it must end whatever it says, and fill no
 * memory.
 */
import { limits } from "../../base/index.ts";
import { Float, TemplateError, Tuple, type Value } from "./values.ts";

/** Characters or elements that are looked at or made for the price of one step. */
const A_STEP = 16;

/**
 * Counts steps: one for each node that is evaluated, and for each 16 characters or elements that an operation looks at
 * or makes, which are counted before it begins. So steps bound time, and memory too.
 */
export class Meter {
  private used = 0;
  private depth = 0;
  private readonly sizes = new WeakMap<object, number>();

  get steps(): number {
    return this.used;
  }

  /** @throws TemplateError when there are no steps left */
  step(count = 1): void {
    this.take(count * A_STEP);
  }

  /** Counts characters or elements. @throws TemplateError when there are no steps left */
  take(count: number): void {
    if (count > 0) this.used += count / A_STEP;
    if (!(this.used <= limits.templateSteps))
      throw new TemplateError(`more than ${limits.templateSteps} steps (limit templateSteps)`);
  }

  /** Goes one level deeper. @throws TemplateError when that is too deep */
  within<T>(work: () => T): T {
    this.enter();
    try {
      return work();
    } finally {
      this.leave();
    }
  }
  enter(): void {
    if (++this.depth > limits.templateDepth)
      throw new TemplateError(`maximum recursion depth exceeded (limit templateDepth)`);
  }
  leave(): void {
    this.depth--;
  }

  /** Characters or elements of a value itself. */
  length(value: Value): number {
    if (typeof value === "string" || Array.isArray(value)) return value.length;
    return value instanceof Map ? value.size : value instanceof Tuple ? value.items.length : 1;
  }

  /**
   * Characters of a value and of all within, as often as they are there: what printing or comparing it looks at. Values
   * do not change once they are made, so that each is counted once.
   */
  size(value: Value): number {
    if (typeof value === "string") return value.length;
    if (value === null || typeof value !== "object" || value instanceof Float) return 1;
    let size = this.sizes.get(value);
    if (size === undefined) {
      size = this.within(() => this.sizeWithin(value));
      this.sizes.set(value, size);
    }
    return size;
  }

  private sizeWithin(value: Value): number {
    const parts: Iterable<Value> = Array.isArray(value)
      ? value
      : value instanceof Tuple
        ? value.items
        : value instanceof Map
          ? [...value].flat()
          : [];
    let size = 1;
    for (const part of parts) size += 1 + this.size(part);
    this.take(this.length(value));
    return size;
  }

  /** Counts a value that an operation made. */
  charge<T extends Value>(value: T): T {
    this.take(this.length(value));
    this.size(value);
    return value;
  }
}
