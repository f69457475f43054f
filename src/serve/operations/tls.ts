import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { DataError, OptionError } from "../../base/index.ts";
import { isSystemError, systemError } from "../../files/index.ts";

/** Files that make a server speak HTTPS. */
export interface TlsOptions {
  /** PEM file of the certificate and those that vouch for it. @default HTTP without TLS */
  tlsCert?: string;
  /** PEM file of the certificate's private key. */
  tlsKey?: string;
}

export const tlsNames = ["tlsCert", "tlsKey"] as const;

/** Whether there are such files. */
export const isTls = ({ tlsCert, tlsKey }: TlsOptions): boolean => tlsCert !== undefined || tlsKey !== undefined;

/** What a TLS server is made with. */
export type TlsSettings = SecureContextOptions & { cert: Buffer; key: Buffer };

/**
 * The settings of a server with these files, or undefined for one without TLS.
 * @throws OptionError for one of the files without the other; DataError when they cannot be read, or do not fit
 */
export async function tlsSettings({ tlsCert, tlsKey }: TlsOptions): Promise<TlsSettings | undefined> {
  if (!isTls({ tlsCert, tlsKey })) return undefined;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new OptionError({
      where: "serve",
      expected: "tlsCert and tlsKey",
      received: tlsCert === undefined ? "tlsKey alone" : "tlsCert alone",
      fix: "give both files, or none for HTTP",
    });
  const [cert, key] = await Promise.all([pemFile(tlsCert), pemFile(tlsKey)]);
  // versions before 1.2 are broken (RFC 8996)
  const settings = { cert, key, minVersion: "TLSv1.2" } as const;
  try {
    createSecureContext(settings);
  } catch (cause) {
    throw new DataError({
      where: `${tlsCert}, ${tlsKey}`,
      expected: "a certificate in PEM and its private key",
      received: (cause as Error).message,
      fix: "give the certificate of this key, both in PEM",
      cause,
    });
  }
  return settings;
}

async function pemFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw isSystemError(cause) ? systemError(path, "a PEM file", cause) : cause;
  }
}
