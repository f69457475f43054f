import { type DataError, limits } from "../base/index.ts";

/*
 * A reader of Python pickles that runs nothing. It knows the opcodes of protocols 2 to 5 that data is made of, and each
 * name of a class or function goes through `resolve`, which knows a few and refuses all others.
 * https://docs.python.org/3/library/pickletools.html
 */

/** A name that a pickle mentions, such as "collections.OrderedDict". */
export class PickleName {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}
export class PickleTuple {
  readonly items: readonly PickleValue[];
  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}
/** A float, which is never taken for a count, be it whole. */
class PickleFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}
/** Something known that is not data. */
export class PickleOpaque {}
/** What a caller's functions make: an object of their own. */
export interface PickleObject {
  readonly pickled: string;
}
export type PickleKey = string | number | bigint | boolean | null;
export type PickleDict = Map<PickleKey, PickleValue>;
export type PickleValue =
  | PickleKey
  | Uint8Array
  | PickleFloat
  | PickleName
  | PickleTuple
  | PickleValue[]
  | PickleDict
  | PickleOpaque
  | PickleObject;

export interface PickleRules {
  /** A name in the pickle. @throws for one that is not known */
  resolve(name: string): PickleValue;
  /** A call of a function that `resolve` gave. @throws for others */
  call(callee: PickleValue, args: readonly PickleValue[]): PickleValue;
  /** Whether an object takes a state. */
  takesState(target: PickleValue): boolean;
  /** Data that the pickle has outside of itself. @throws for an id that is not understood */
  persistent(id: PickleValue): PickleValue;
}

const MARK = Symbol("mark");
const MAX_MEMO = 2 ** 24;

/**
 * Reads one pickle.
 * @throws what `malformed` makes, or what the rules throw
 */
export function readPickle(
  bytes: Uint8Array,
  start: number,
  rules: PickleRules,
  malformed: (expected: string, received: string) => DataError,
): { value: PickleValue; end: number } {
  return new Machine(bytes, start, rules, malformed).run();
}

class Machine {
  private at: number;
  private steps = 0;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly stack: (PickleValue | typeof MARK)[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private readonly rules: PickleRules;
  private readonly malformed: (expected: string, received: string) => DataError;

  constructor(
    bytes: Uint8Array,
    start: number,
    rules: PickleRules,
    malformed: (expected: string, received: string) => DataError,
  ) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = start;
    this.rules = rules;
    this.malformed = malformed;
  }

  run(): { value: PickleValue; end: number } {
    for (;;) {
      const opcode = this.take(1)[0];
      if (opcode === 0x2e) return { value: this.pop(), end: this.at }; // STOP
      const handler = handlers.get(opcode);
      if (!handler) throw this.malformed("the opcodes of data", `opcode 0x${opcode.toString(16)} at ${this.at - 1}`);
      handler(this);
      if (++this.steps > limits.pickleSteps)
        throw this.malformed(`at most ${limits.pickleSteps} steps (limit pickleSteps)`, "more");
    }
  }

  take(length: number): Uint8Array {
    if (!Number.isSafeInteger(length) || length < 0 || this.at + length > this.bytes.length)
      throw this.malformed(`${length} bytes at ${this.at} of the pickle`, "its end");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** A frame's length must fit; what is inside is read as everything else. */
  frame(): void {
    const length = this.unsigned(8);
    this.take(length);
    this.at -= length;
  }

  unsigned(size: 1 | 2 | 4 | 8): number {
    this.take(size);
    const at = this.at - size;
    if (size === 1) return this.view.getUint8(at);
    if (size === 2) return this.view.getUint16(at, true);
    return size === 4 ? this.view.getUint32(at, true) : Number(this.view.getBigUint64(at, true));
  }

  signed(): number {
    this.take(4);
    return this.view.getInt32(this.at - 4, true);
  }

  double(): number {
    this.take(8);
    return this.view.getFloat64(this.at - 8, false);
  }

  text(length: number): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.take(length));
    } catch (cause) {
      if (cause instanceof TypeError) throw this.malformed("text in UTF-8", "other bytes");
      throw cause;
    }
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw this.malformed("a line of the pickle", "its end");
    const text = this.text(end - this.at);
    this.at++;
    return text;
  }

  /** A whole number, little-endian, in two's complement. */
  long(length: number): number | bigint {
    if (length > limits.pickleIntegerBytes)
      throw this.malformed(
        `whole numbers of at most ${limits.pickleIntegerBytes} bytes (limit pickleIntegerBytes)`,
        `${length}`,
      );
    const bytes = this.take(length);
    let value = 0n;
    for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
    if (bytes.length > 0 && bytes[bytes.length - 1] >= 128) value -= 1n << BigInt(8 * bytes.length);
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  push(value: PickleValue | typeof MARK): void {
    this.stack.push(value);
  }

  pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined || value === MARK) throw this.malformed("a value on the stack", "none");
    return value as PickleValue;
  }

  top(): PickleValue {
    const value = this.pop();
    this.push(value);
    return value;
  }

  /** What was pushed since the last mark. */
  sinceMark(): PickleValue[] {
    const at = this.stack.lastIndexOf(MARK);
    if (at < 0) throw this.malformed("a mark on the stack", "none");
    const items = this.stack.splice(at).slice(1) as PickleValue[];
    return items;
  }

  tuple(count: number): void {
    const items: PickleValue[] = [];
    for (let i = 0; i < count; i++) items.unshift(this.pop());
    this.push(new PickleTuple(items));
  }

  append(items: readonly PickleValue[]): void {
    const target = this.top();
    if (target instanceof PickleOpaque) return;
    if (!Array.isArray(target)) throw this.malformed("a list to append to", describe(target));
    for (const item of items) target.push(item);
  }

  setItems(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!(target instanceof Map) || items.length % 2 !== 0)
      throw this.malformed("a dict, and keys with values", describe(target));
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      if (key !== null && typeof key === "object")
        throw this.malformed("keys that are texts or numbers", describe(key));
      target.set(key as PickleKey, items[i + 1]);
    }
  }

  put(index: number): void {
    if (index >= MAX_MEMO) throw this.malformed(`memo indices below ${MAX_MEMO}`, `${index}`);
    this.memo.set(index, this.top());
  }

  get(index: number): void {
    if (!this.memo.has(index)) throw this.malformed("a memo index that was set", `${index}`);
    this.push(this.memo.get(index) as PickleValue);
  }

  memoize(): void {
    this.put(this.memo.size);
  }

  name(module: PickleValue, name: PickleValue): void {
    if (typeof module !== "string" || typeof name !== "string")
      throw this.malformed("the name of a class", "something else");
    this.push(this.rules.resolve(`${module}.${name}`));
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(args instanceof PickleTuple)) throw this.malformed("arguments", describe(args));
    this.push(this.rules.call(callee, args.items));
  }

  build(): void {
    this.pop();
    if (!this.rules.takesState(this.top())) throw this.malformed("an object that takes a state", describe(this.top()));
  }

  persistent(): void {
    this.push(this.rules.persistent(this.pop()));
  }

  refuse(expected: string): never {
    throw this.malformed(expected, "something else");
  }
}

export function describe(value: PickleValue): string {
  if (value instanceof PickleName) return value.name;
  if (value instanceof PickleFloat) return String(value.value);
  if (value instanceof PickleTuple) return "a tuple";
  if (value instanceof Map) return "a dict";
  if (Array.isArray(value)) return "a list";
  if (value !== null && typeof value === "object" && "pickled" in value) return value.pickled;
  return value !== null && typeof value === "object" ? "an object" : String(value).slice(0, 60);
}

const HIGHEST_PROTOCOL = 5;
const handlers = new Map<number, (m: Machine) => void>(
  Object.entries({
    "\x80": (m) => {
      if (m.unsigned(1) > HIGHEST_PROTOCOL) m.refuse(`a protocol up to ${HIGHEST_PROTOCOL}`);
    },
    "\x95": (m) => m.frame(),
    "(": (m) => m.push(MARK),
    "0": (m) => void m.pop(),
    "1": (m) => void m.sinceMark(),
    "2": (m) => m.push(m.top()),
    N: (m) => m.push(null),
    "\x88": (m) => m.push(true),
    "\x89": (m) => m.push(false),
    J: (m) => m.push(m.signed()),
    K: (m) => m.push(m.unsigned(1)),
    M: (m) => m.push(m.unsigned(2)),
    "\x8a": (m) => m.push(m.long(m.unsigned(1))),
    "\x8b": (m) => m.push(m.long(m.signed())),
    G: (m) => m.push(new PickleFloat(m.double())),
    X: (m) => m.push(m.text(m.unsigned(4))),
    "\x8c": (m) => m.push(m.text(m.unsigned(1))),
    "\x8d": (m) => m.push(m.text(m.unsigned(8))),
    U: (m) => m.push(m.text(m.unsigned(1))),
    B: (m) => m.push(m.take(m.unsigned(4))),
    C: (m) => m.push(m.take(m.unsigned(1))),
    "\x8e": (m) => m.push(m.take(m.unsigned(8))),
    "\x96": (m) => m.push(m.take(m.unsigned(8))),
    ")": (m) => m.push(new PickleTuple([])),
    t: (m) => m.push(new PickleTuple(m.sinceMark())),
    "\x85": (m) => m.tuple(1),
    "\x86": (m) => m.tuple(2),
    "\x87": (m) => m.tuple(3),
    "]": (m) => m.push([]),
    a: (m) => m.append([m.pop()]),
    e: (m) => m.append(m.sinceMark()),
    "}": (m) => m.push(new Map()),
    s: (m) => {
      const value = m.pop();
      m.setItems([m.pop(), value]);
    },
    u: (m) => m.setItems(m.sinceMark()),
    "\x8f": (m) => m.push(new PickleOpaque()),
    "\x90": (m) => m.append(m.sinceMark()),
    "\x91": (m) => {
      m.sinceMark();
      m.push(new PickleOpaque());
    },
    c: (m) => {
      const module = m.line();
      m.name(module, m.line());
    },
    "\x93": (m) => {
      const name = m.pop();
      m.name(m.pop(), name);
    },
    i: (m) => {
      const module = m.line();
      m.name(module, m.line());
      m.refuse("no instances of classes");
    },
    R: (m) => m.call(),
    "\x81": (m) => m.call(),
    b: (m) => m.build(),
    Q: (m) => m.persistent(),
    q: (m) => m.put(m.unsigned(1)),
    r: (m) => m.put(m.unsigned(4)),
    h: (m) => m.get(m.unsigned(1)),
    j: (m) => m.get(m.unsigned(4)),
    "\x94": (m) => m.memoize(),
  } satisfies Record<string, (m: Machine) => void>).map(([opcode, handler]) => [opcode.charCodeAt(0), handler]),
);
