import { DataError, withinLimit } from "../base/index.ts";

/** Sound: a list of samples from -1 to 1 for each channel. */
export interface Sound {
  channels: Float32Array[];
  /** Samples a second. */
  samplingRate: number;
}

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;
/** Below this there is no speech, and bringing it to a usual rate makes many samples of each. */
const LOWEST_RATE = 1000;

/**
 * Reads a WAV file: whole numbers of 8, 16, 24 or 32 bits, or floats of 32 or 64.
 * @throws DataError for another format or a damaged file, and for floats that are no numbers of 32 bits
 */
export function readWav(bytes: Uint8Array, where = "WAV file"): Sound {
  const fail = (expected: string, received: string) =>
    new DataError({ where, expected, received, fix: "convert the sound to WAV, 16 bits" });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (at: number) => (at + 4 <= bytes.length ? String.fromCharCode(...bytes.subarray(at, at + 4)) : "");
  if (name(0) !== "RIFF" || name(8) !== "WAVE") throw fail("a WAV file", "another format");
  let format: { kind: number; channels: number; samplingRate: number; bits: number } | undefined;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    const start = at + 8;
    if (name(at) === "fmt ") {
      if (size < 16 || start + size > bytes.length) throw fail("a format of at least 16 bytes", `${size}`);
      const kind = view.getUint16(start, true);
      // the extensible form names the kind further on
      const real = kind === EXTENSIBLE && size >= 26 ? view.getUint16(start + 24, true) : kind;
      format = {
        kind: real,
        channels: view.getUint16(start + 2, true),
        samplingRate: view.getUint32(start + 4, true),
        bits: view.getUint16(start + 14, true),
      };
    } else if (name(at) === "data") {
      if (!format) throw fail("a format in front of the samples", "none");
      return samplesOf(view, start, Math.min(size, bytes.length - start), format, where, fail);
    }
    at = start + size + (size % 2);
  }
  throw fail("samples", "none");
}

function samplesOf(
  view: DataView,
  start: number,
  length: number,
  { kind, channels, samplingRate, bits }: { kind: number; channels: number; samplingRate: number; bits: number },
  where: string,
  fail: (expected: string, received: string) => DataError,
): Sound {
  const readers: Readonly<Record<string, (at: number) => number>> = {
    [`${PCM}-8`]: (at) => (view.getUint8(at) - 128) / 128,
    [`${PCM}-16`]: (at) => view.getInt16(at, true) / 2 ** 15,
    [`${PCM}-24`]: (at) => ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 2 ** 23,
    [`${PCM}-32`]: (at) => view.getInt32(at, true) / 2 ** 31,
    [`${FLOAT}-32`]: (at) => view.getFloat32(at, true),
    [`${FLOAT}-64`]: (at) => view.getFloat64(at, true),
  };
  const read = readers[`${kind}-${bits}`];
  if (samplingRate < LOWEST_RATE) throw fail(`at least ${LOWEST_RATE} samples a second`, `${samplingRate}`);
  withinLimit("samplingRate", samplingRate, where, "samples a second");
  withinLimit("soundChannels", channels, where, "channels");
  if (!read || channels === 0)
    throw fail("PCM of 8 to 32 bits or floats", `format ${kind}, ${bits} bits, ${channels} channels`);
  const width = bits / 8;
  const frames = Math.floor(length / (width * channels));
  const out = Array.from({ length: channels }, () => new Float32Array(frames));
  for (let i = 0; i < frames; i++)
    for (let c = 0; c < channels; c++) out[c][i] = read(start + (i * channels + c) * width);
  if (kind === FLOAT && !out.every((channel) => channel.every(Number.isFinite)))
    throw fail("samples that are numbers", "some that are not");
  return { channels: out, samplingRate };
}

/** The mean of all channels. */
export function toMono({ channels }: Sound): Float32Array {
  if (channels.length === 1) return channels[0];
  return Float32Array.from(
    channels[0],
    (_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length,
  );
}
