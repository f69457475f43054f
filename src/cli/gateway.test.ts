/** kindling gateway, in a process of its own. */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program } from "../testing/built-program.ts";
import { chatUpstream, type FakeUpstream } from "../testing/fake-upstream.ts";

void [spawn, mkdtemp, rm, writeFile, tmpdir, join, afterAll, beforeAll, expect, test, program, chatUpstream];

export type { FakeUpstream };
