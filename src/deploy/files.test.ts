/** All that is written, for every engine and target, judged by the schemas of Kubernetes and Compose. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import Ajv, { type ErrorObject } from "ajv";
import Ajv2020 from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { deployedFolder } from "../testing/deployed-models.ts";
import { ggufFile } from "../testing/gguf-models.ts";
import { type DeployOptions, deploymentFiles, planDeployment } from "./index.ts";

const golden = (name: string) =>
  JSON.parse(gunzipSync(readFileSync(new URL(`../../golden/deploy/${name}.json.gz`, import.meta.url))).toString());
const { kinds, $defs } = golden("kubernetes") as { kinds: Record<string, object>; $defs: object };
const formats = { strict: false, validateFormats: false, allErrors: true };
const kubernetes = new Ajv2020(formats);
const validators = new Map(
  Object.entries(kinds).map(([kind, schema]) => [kind, kubernetes.compile({ ...schema, $defs })]),
);
const validateCompose = new Ajv2020(formats).compile((golden("compose") as { schema: object }).schema);
void Ajv;
