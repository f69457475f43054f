import { expect, test } from "vitest";
import { withOwnBuffers } from "./own-buffers.ts";

test("a message to another thread takes no larger buffer along than its numbers fill", () => {
  const file = Float32Array.from({ length: 1000 }, (_, i) => i);
  const part = file.subarray(10, 12);
  const upload = withOwnBuffers({ kind: "upload", id: 1, buffer: 2, type: "float32", shape: [2], data: part });
  expect(structuredClone(upload)).toMatchObject({ kind: "upload", data: Float32Array.of(10, 11) });
  expect((structuredClone(upload) as { data: Float32Array }).data.buffer.byteLength).toBe(8);
  const run = withOwnBuffers({
    kind: "run",
    id: 1,
    executable: 2,
    inputs: Int32Array.of(0),
    hostInputs: [{ type: "float32", shape: [2], data: part }],
    outputs: Int32Array.of(0),
    newOutputs: new Map(),
  });
  const [{ data }] = (run as unknown as { hostInputs: { data: Float32Array }[] }).hostInputs;
  expect([data.buffer.byteLength, ...data]).toEqual([8, 10, 11]);
});

test("numbers that have a buffer to themselves are not copied", () => {
  const data = Float32Array.of(1, 2);
  expect(withOwnBuffers({ kind: "upload", id: 1, buffer: 2, type: "float32", shape: [2], data })).toMatchObject({
    data,
  });
  expect(
    (withOwnBuffers({ kind: "upload", id: 1, buffer: 2, type: "float32", shape: [2], data }) as { data: object }).data,
  ).toBe(data);
});
