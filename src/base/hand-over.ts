/** Memory that whoever made it has let go. */
const handedOver = new WeakSet<ArrayBufferLike>();

/** Says that nobody else uses an array: whoever claims it may have it as it is, and needs no copy. */
export function handOver({ buffer, byteLength }: ArrayBufferView): void {
  if (byteLength === buffer.byteLength) handedOver.add(buffer);
}

/** Whether an array was handed over: from now on it is the caller's. */
export function takeHandedOver({ buffer, byteLength }: ArrayBufferView): boolean {
  return byteLength === buffer.byteLength && handedOver.delete(buffer);
}
