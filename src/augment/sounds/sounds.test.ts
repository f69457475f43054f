import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { compose } from "../compose.ts";
import { Draws, drawsOf } from "../draws.ts";
import {
  addNoise,
  applyGain,
  changeSpeed,
  maskSpans,
  randomGain,
  randomNoise,
  randomShift,
  randomSpeed,
  shiftSamples,
  specAugment,
} from "./index.ts";

interface MaskCase {
  length: number;
  lengths: number[];
  probability: number;
  maskLength: number;
  minMasks: number;
  epsilon: number;
  starts: number[][];
  mask: string[];
}
const { masks }: { masks: MaskCase[] } = JSON.parse(
  await readFile(new URL("../../../golden/augment/sequences.json", import.meta.url), "utf8"),
);

/** The numbers that NumPy drew. */
class RecordedDraws extends Draws {
  private readonly recorded: { epsilon: number; starts: number[][] };
  constructor({ epsilon, starts }: MaskCase) {
    super([0, 0]);
    this.recorded = { epsilon, starts: [...starts] };
  }
  override uniform(): number {
    return this.recorded.epsilon;
  }
  override sample(_: number, count: number): number[] {
    const starts = this.recorded.starts.shift() as number[];
    expect(starts.length).toBe(count);
    return starts;
  }
}

test.each(masks)("spans as _compute_mask_indices: $length places, $probability, spans of $maskLength", (row) => {
  const { length, lengths, probability, maskLength, minMasks, mask } = row;
  const actual = maskSpans({ length, lengths, probability, maskLength, minMasks }, new RecordedDraws(row));
  expect(lengths.map((_, i) => actual.slice(i * length, (i + 1) * length).join(""))).toEqual(mask);
});

describe("SpecAugment", () => {
  const [bands, frames] = [20, 200];
  const ramp = { bands, frames, data: Float32Array.from({ length: bands * frames }, (_, i) => 1 + (i % frames)) };
  const bandOf = (data: Float32Array, band: number) => Array.from(data.subarray(band * frames, (band + 1) * frames));

  test("masks as many bands and frames as asked, and nothing else", () => {
    const augment = specAugment({ timeWarp: 0, frequencyWidth: 5, timeWidth: 30, timeShare: 0.1, value: -1 });
    const seen = new Set<number>();
    for (let sample = 0; sample < 50; sample++) {
      const { data } = augment(ramp, drawsOf(0, sample));
      const isMasked = (band: number, frame: number) => data[band * frames + frame] === -1;
      const bandsMasked = Array.from({ length: bands }, (_, b) => bandOf(data, b).every((x) => x === -1));
      const framesMasked = Array.from({ length: frames }, (_, f) =>
        Array.from({ length: bands }, (__, b) => isMasked(b, f)).every(Boolean),
      );
      const [numBands, numFrames] = [bandsMasked, framesMasked].map((list) => list.filter(Boolean).length);
      expect(numBands).toBeLessThanOrEqual(10);
      expect(numFrames).toBeLessThanOrEqual(40);
      seen.add(numBands);
      const others = Array.from(data, (value, i) => ({ value, band: Math.floor(i / frames), frame: i % frames }))
        .filter(({ band, frame }) => !bandsMasked[band] && !framesMasked[frame])
        .filter(({ value, frame }) => value !== 1 + frame);
      expect(others).toEqual([]);
    }
    expect(seen.size).toBeGreaterThan(5);
  });

  test("a warp keeps the ends and the order, and moves a point by at most W", () => {
    const augment = specAugment({ timeWarp: 30, frequencyMasks: 0, timeMasks: 0 });
    const shifts = Array.from({ length: 40 }, (_, sample) => {
      const { data } = augment(ramp, drawsOf(1, sample));
      const times = bandOf(data, 0).map((x) => x - 1);
      expect(bandOf(data, 7)).toEqual(bandOf(data, 0));
      expect([times[0], times[frames - 1]]).toEqual([0, frames - 1]);
      expect(times.every((time, i) => i === 0 || time > times[i - 1])).toBe(true);
      return Math.max(...times.map((time, i) => Math.abs(time - i)));
    });
    expect(Math.max(...shifts)).toBeLessThanOrEqual(30.001);
    expect(Math.max(...shifts)).toBeGreaterThan(15);
    const short = { bands: 1, frames: 20, data: ramp.data.slice(0, 20) };
    expect(augment(short, drawsOf(0)).data).toEqual(short.data);
  });

  test("the mean may stand for what is masked, and the sound itself stays", () => {
    const sound = { bands: 2, frames: 4, data: Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7) };
    const masked = specAugment({ timeWarp: 0, frequencyMasks: 9, frequencyWidth: 2, timeMasks: 0, value: "mean" });
    const { data } = masked(sound, drawsOf(0));
    expect(new Set(data)).toEqual(new Set([3.5]));
    expect(sound.data[0]).toBe(0);
  });

  test("wrong options and shapes are refused", () => {
    const refused: [() => unknown, string][] = [
      [() => specAugment({ timeShare: 2 }), "specAugment: expected timeShare from 0 to 1; received 2"],
      [() => specAugment({ value: "zero" as never }), 'expected a value that is a number or "mean"'],
      [() => specAugment()({ ...ramp, frames: 3 }, drawsOf(0)), "specAugment: expected 20 bands of 3 frames"],
      [
        () => maskSpans({ length: 4, lengths: [4], probability: 0.5, maskLength: 5 }, drawsOf(0)),
        "of at most length, 4",
      ],
    ];
    for (const [call, message] of refused) expect(call).toThrow(message);
  });
});

describe("samples", () => {
  const power = (samples: Float32Array) => samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
  const tone = Float32Array.from({ length: 4000 }, (_, i) => 0.3 * Math.sin(i / 5));

  test("noise has the power that the ratio says, white or recorded", () => {
    const noises = [Float32Array.of(1, -1, 0.5), Float32Array.of(0.2, 0.1)];
    for (const augment of [randomNoise({ snrDecibels: [12, 12] }), randomNoise({ snrDecibels: [12, 12], noises })]) {
      const noisy = augment(tone, drawsOf(0, 1));
      const ratio = 10 * Math.log10(power(tone) / power(noisy.map((x, i) => x - tone[i])));
      expect(ratio).toBeCloseTo(12, 3);
    }
    expect(addNoise(new Float32Array(3), noises[0], 5)).toEqual(new Float32Array(3));
    expect(() => addNoise(tone, new Float32Array(4), 5)).toThrow("addNoise: expected a noise that is no silence");
    expect(() => randomNoise({ noises: [] })).toThrow("randomNoise: expected noises with samples; received none");
  });

  test("gain, shift and speed", () => {
    expect(10 * Math.log10(power(applyGain(tone, 6)) / power(tone))).toBeCloseTo(6, 4);
    const sound = Float32Array.of(1, 2, 3);
    expect([...shiftSamples(sound, 1)]).toEqual([0, 1, 2]);
    expect([...shiftSamples(sound, -2)]).toEqual([3, 0, 0]);
    expect([...shiftSamples(sound, 5)]).toEqual([0, 0, 0]);
    const fast = changeSpeed(tone, 1.25);
    expect(fast.length).toBe(3200);
    const gaps = Array.from(fast, (x, i) => Math.abs(x - 0.3 * Math.sin((i * 1.25) / 5)));
    expect(Math.max(...gaps.slice(200, 3000))).toBeLessThan(2e-3);
    expect(changeSpeed(tone, 1)).toBe(tone);
  });

  test("random ones stay in their ranges, and are those of the sample", () => {
    const augment = compose([
      randomSpeed(),
      randomGain({ decibels: [-6, 6] }),
      randomShift({ samples: [-100, 100] }),
      randomNoise(),
    ]);
    const lengths = Array.from({ length: 30 }, (_, sample) => {
      const once = augment(tone, drawsOf(2, sample));
      expect(augment(tone, drawsOf(2, sample))).toEqual(once);
      return once.length;
    });
    expect(new Set(lengths)).toEqual(new Set([4000, 3637, 4445]));
    expect(() => randomGain({ decibels: [3, 1] })).toThrow("randomGain: expected decibels of two numbers");
    expect(() => randomSpeed({ factors: [0] })).toThrow("randomSpeed: expected factors of at least 0.01");
  });
});
