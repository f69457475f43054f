/** What the head of a WAV file says, and what is behind it. */
interface WavOptions {
  /** 1 for whole numbers, 3 for floats. @default 1 */
  kind?: number;
  /** Samples a second. @default 16000 */
  rate?: number;
  /** @default 1 */
  channels?: number;
  /** Of a sample. @default 16 */
  bits?: number;
  /** Bytes of samples. @default 0 */
  bytes?: number;
  /** Bytes of samples that the head says there are. @default those that there are */
  said?: number;
  /** Each of the bytes. @default 0 */
  fill?: number;
}

/** A WAV file, which need not be one that there can be. */
export function wavFile(options: WavOptions = {}): Buffer {
  const { kind = 1, rate = 16_000, channels = 1, bits = 16, bytes = 0, said = bytes, fill = 0 } = options;
  const frame = channels * Math.ceil(bits / 8);
  const wav = Buffer.alloc(44 + bytes, fill);
  wav.write("RIFF");
  wav.writeUInt32LE((36 + said) >>> 0, 4);
  wav.write("WAVEfmt ", 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(kind, 20);
  wav.writeUInt16LE(channels, 22);
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE((rate * frame) >>> 0, 28);
  wav.writeUInt16LE(frame & 0xffff, 32);
  wav.writeUInt16LE(bits, 34);
  wav.write("data", 36);
  wav.writeUInt32LE(said, 40);
  return wav;
}
