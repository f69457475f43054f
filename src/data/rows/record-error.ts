import { DataError } from "../../base/index.ts";

/** Why a record of a file is no row, or a row no example. */
export class RecordError extends DataError {
  readonly reason: string;

  constructor(reason: string) {
    super({ where: "row", expected: "a row that can be used", received: reason, fix: "correct it, or leave it out" });
    this.reason = reason;
  }
}

/** Why the record that names the columns cannot be: no other can be read. */
export class HeaderError extends RecordError {}
