import { readWav, type Sound } from "../../processors/index.ts";
import { asFaultOf } from "../errors.ts";
import { invalid } from "../fields.ts";

/** Longer ones are to be cut by who asks. As samples for the model, an hour takes 230 MB. */
const MAX_SECONDS = 3600;

const startsWith = (bytes: Uint8Array, text: string, at = 0) =>
  [...text].every((character, i) => bytes[at + i] === character.charCodeAt(0));

/** Other formats by their first bytes, whatever their names say. */
const formats: readonly { name: string; matches: (bytes: Uint8Array) => boolean }[] = [
  { name: "FLAC", matches: (bytes) => startsWith(bytes, "fLaC") },
  { name: "Ogg", matches: (bytes) => startsWith(bytes, "OggS") },
  { name: "MP4 or M4A", matches: (bytes) => startsWith(bytes, "ftyp", 4) },
  { name: "WebM", matches: (bytes) => startsWith(bytes, "\x1a\x45\xdf\xa3") },
  { name: "AIFF", matches: (bytes) => startsWith(bytes, "FORM") },
  { name: "MP3", matches: (bytes) => startsWith(bytes, "ID3") || (bytes[0] === 0xff && bytes[1] >= 0xe0) },
];

/** The sound of a WAV file. @throws RequestError 400 for another format, and for a damaged file */
export async function readSound(bytes: Uint8Array): Promise<Sound & { seconds: number }> {
  const format = formats.find(({ matches }) => matches(bytes));
  if (format) {
    const fix = "convert it first, for example: ffmpeg -i sound -ar 16000 -ac 1 sound.wav";
    throw invalid("file", `a WAV file, for no other is read here; ${fix}`, format.name);
  }
  const sound = await asFaultOf(
    () => "file",
    () => readWav(bytes, "file"),
  );
  const seconds = sound.channels[0].length / sound.samplingRate;
  if (seconds > MAX_SECONDS) throw invalid("file", `a sound of at most ${MAX_SECONDS} s; cut it`, seconds);
  return { ...sound, seconds };
}
