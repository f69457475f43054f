/**
 * The JSON Schemas that what `kindling deploy` writes is checked by. usage: node golden/make_deploy_schemas.mjs
 * KUBERNETES COMPOSE. KUBERNETES is the folder kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict of PyPI's
 * kubernetes-validate 1.37.0, COMPOSE the module github.com/compose-spec/compose-go/v2 at v2.16.2. Both have the Apache
 * License 2.0; of Kubernetes' only the kinds below are kept, of both no descriptions.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const [kubernetes, compose] = process.argv.slice(2);
const read = (...path) => JSON.parse(readFileSync(join(...path), "utf8"));
const KINDS = {
  ConfigMap: "configmap-v1",
  Deployment: "deployment-apps-v1",
  HorizontalPodAutoscaler: "horizontalpodautoscaler-autoscaling-v2",
  Ingress: "ingress-networking-v1",
  NetworkPolicy: "networkpolicy-networking-v1",
  PersistentVolumeClaim: "persistentvolumeclaim-v1",
  Pod: "pod-v1",
  PodDisruptionBudget: "poddisruptionbudget-policy-v1",
  Secret: "secret-v1",
  Service: "service-v1",
  ServiceAccount: "serviceaccount-v1",
  StatefulSet: "statefulset-apps-v1",
};

/** A schema without descriptions; a property may have that name. */
function bare(schema, isProperties = false) {
  if (Array.isArray(schema)) return schema.map((part) => bare(part));
  if (schema === null || typeof schema !== "object") return schema;
  const isKept = ([key, value]) => isProperties || key !== "description" || typeof value !== "string";
  const inner = (key) => ["properties", "patternProperties", "definitions", "$defs"].includes(key) && !isProperties;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(isKept)
      .map(([key, value]) => [key, bare(value, inner(key))]),
  );
}

const { $defs: definitions } = read(kubernetes, "_definitions.json");
const reached = new Set();
function reach(schema) {
  for (const [, name] of JSON.stringify(schema).matchAll(/"\$ref":"[^"#]*#\/\$defs\/([^"]+)"/g)) {
    if (reached.has(name)) continue;
    reached.add(name);
    reach(definitions[name]);
  }
}
const kinds = Object.fromEntries(
  Object.entries(KINDS).map(([kind, file]) => [kind, bare(read(kubernetes, `${file}.json`))]),
);
reach(kinds);
const kept = Object.fromEntries([...reached].sort().map((name) => [name, bare(definitions[name])]));
const local = (value) => JSON.parse(JSON.stringify(value).replaceAll('"/api/_definitions.json#', '"#'));
const APACHE = "Apache License 2.0; changed: without descriptions";
const save = (name, value) =>
  writeFileSync(new URL(`deploy/${name}.json.gz`, import.meta.url), gzipSync(JSON.stringify(value), { level: 9 }));
save("kubernetes", {
  source: "kubernetes-validate 1.37.0, from the OpenAPI of Kubernetes 1.37.0",
  licence: APACHE,
  kinds: local(kinds),
  $defs: local(kept),
});
save("compose", {
  source: "github.com/compose-spec/compose-go/v2 v2.16.2, schema/compose-spec.json",
  licence: APACHE,
  schema: bare(read(compose, "schema/compose-spec.json")),
});
