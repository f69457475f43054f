/** What a call does not follow, and goes on without. */
export interface Warning {
  /** The call, and the file or folder that it reads. */
  where: string;
  /** Each thing in a sentence. */
  notes: readonly string[];
}

/** Takes what a call warns of; called at most once for each call. */
export type OnWarning<W extends Warning = Warning> = (warning: W) => void;

/** The usual place of warnings: a line for each note. */
export function warnOnConsole({ where, notes }: Warning): void {
  console.warn([`${where}:`, ...notes.map((note) => `- ${note}`)].join("\n"));
}
