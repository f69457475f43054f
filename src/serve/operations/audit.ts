import { appendFileSync } from "node:fs";
import { ownerModes } from "../../files/index.ts";

/** Things that whoever answers for a server asks after. None of them has a secret in it. */
export type AuditEvent =
  | { event: "server_started"; url: string }
  | { event: "server_stopped" }
  | { event: "model_loaded" | "model_unloaded"; model: string }
  | { event: "key_added" | "key_revoked" | "key_first_used"; key: string }
  | { event: "authentication_refused"; reason: "no key" | "unknown key"; path: string; address: string | undefined }
  | { event: "authentications_refused"; count: number }
  | { event: "configuration_reloaded"; files: readonly string[] }
  | { event: "configuration_refused"; file: string; reason: string };

const MINUTE_MS = 60_000;
/** Lines that wrong keys may fill the disk with, in a minute; of the others there is a count. */
const MOST_REFUSALS = 60;

/** A file that grows by a line of JSON for each event. */
export class AuditLog {
  private readonly path: string;
  private readonly now: () => number;
  private minute = 0;
  private refusals = 0;
  private hasFailed = false;

  /** @param now milliseconds since 1970 @default Date.now */
  constructor(path: string, now: () => number = Date.now) {
    this.path = path;
    this.now = now;
  }

  /** Adds a line. */
  write(event: AuditEvent): void {
    if (event.event === "authentication_refused" && !this.isTold()) return;
    this.append(event);
  }

  /** Whether a refusal has a line of its own. */
  private isTold(): boolean {
    const minute = Math.floor(this.now() / MINUTE_MS);
    if (minute !== this.minute) {
      this.flush();
      this.minute = minute;
    }
    this.refusals++;
    return this.refusals <= MOST_REFUSALS;
  }

  /** Writes how many refusals had no line. */
  flush(): void {
    const count = this.refusals - MOST_REFUSALS;
    this.refusals = 0;
    if (count > 0) this.append({ event: "authentications_refused", count });
  }

  /** Opens the file each time, so that it may be moved away; a line is written by one call, whole and in its turn. */
  private append(event: AuditEvent): void {
    const line = JSON.stringify({ time: new Date(this.now()).toISOString(), ...event });
    try {
      appendFileSync(this.path, `${line}\n`, { mode: ownerModes.file });
      this.hasFailed = false;
    } catch (cause) {
      // the server goes on: a full disk must not stop it, nor fill its log
      if (!this.hasFailed) console.error(`audit ${this.path}: ${(cause as Error).message}`);
      this.hasFailed = true;
    }
  }
}
