/** What `kindling gateway` is to read: the engine as its only upstream. See docs/gateway.md. */
import { GATEWAY_PORT } from "./images.ts";
import type { DeploymentPlan } from "./plan.ts";

/** Where its files are mounted. */
export const GATEWAY_PATH = "/etc/kindling-gateway";
export const KEYS_PATH = "/run/kindling-keys/keys.json";

/** @param hosts by which clients call it, besides addresses */
export function gatewayConfig({ name, options, run }: DeploymentPlan, hosts: readonly string[]): object {
  const secret = run.secrets.find(({ isRequired }) => isRequired);
  return {
    server: { host: "0.0.0.0", port: GATEWAY_PORT, allowedHosts: hosts },
    upstreams: [
      {
        name: options.engine,
        preset: options.engine,
        baseUrl: `http://${name}:${run.port}/v1`,
        ...(secret && { apiKey: `\${${secret.name}}` }),
        models: [name],
      },
    ],
    keys: { file: KEYS_PATH },
  };
}
