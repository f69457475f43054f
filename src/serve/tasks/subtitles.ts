/** A part of what is said. */
export interface Segment {
  text: string;
  /** Seconds from the beginning of the sound. */
  start: number;
  end: number;
}

/** Hours, minutes, seconds and milliseconds. */
function timeOf(seconds: number, point: "," | "."): string {
  const ms = Math.round(seconds * 1000);
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const clock = `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}`;
  return `${clock}${point}${String(ms % 1000).padStart(3, "0")}`;
}

/** An empty line would end a subtitle, and an arrow begin one. */
const plain = (text: string) =>
  text
    .trim()
    .replace(/\s*\n\s*/g, "\n")
    .replaceAll("-->", "->");

/** SubRip's subtitles. */
export const srt = (segments: readonly Segment[]): string =>
  segments
    .map(({ text, start, end }, i) => `${i + 1}\n${timeOf(start, ",")} --> ${timeOf(end, ",")}\n${plain(text)}\n\n`)
    .join("");

/** WebVTT, https://www.w3.org/TR/webvtt1 */
export const vtt = (segments: readonly Segment[]): string =>
  `WEBVTT\n\n${segments
    .map(({ text, start, end }) => `${timeOf(start, ".")} --> ${timeOf(end, ".")}\n${escaped(plain(text))}\n\n`)
    .join("")}`;

/** What WebVTT would take for markup. */
const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
