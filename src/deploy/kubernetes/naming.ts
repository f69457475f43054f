/** Names and labels of a deployment's objects, and the security of its containers. */
import type { DeploymentPlan } from "../plan.ts";
import type { Container, KubernetesObject, Metadata, PodSpec } from "./types.ts";

type Part = "model" | "gateway";

/** What a Service and a NetworkPolicy know pods by; never changes, for a Deployment's selector cannot. */
export const selectorOf = ({ name }: DeploymentPlan, part: Part): Record<string, string> => ({
  "app.kubernetes.io/name": part === "gateway" ? "kindling-gateway" : name,
  "app.kubernetes.io/instance": name,
  "app.kubernetes.io/component": part,
});

export const labelsOf = (plan: DeploymentPlan, part: Part): Record<string, string> => ({
  ...selectorOf(plan, part),
  "app.kubernetes.io/managed-by": "kindling-deploy",
});

export const gatewayName = ({ name }: DeploymentPlan): string => `${name}-gateway`;
export const secretName = ({ name, options }: DeploymentPlan): string => options.apiKeySecret ?? `${name}-keys`;
export const gatewaySecretName = ({ name }: DeploymentPlan): string => `${name}-gateway-keys`;
export const configName = ({ name }: DeploymentPlan): string => `${name}-config`;
export const weightsClaimName = ({ name }: DeploymentPlan): string => `${name}-weights`;
/** Pods that may ask the model carry it. */
export const clientLabel = ({ name }: DeploymentPlan): string => `${name}-client`;

export function metadata(plan: DeploymentPlan, name: string, part: Part = "model"): Metadata {
  const { namespace } = plan.options;
  return { name, ...(namespace !== undefined && { namespace }), labels: labelsOf(plan, part) };
}

/** An object of a kind with more fields than all have. */
export const object = <T extends object>(
  apiVersion: string,
  kind: string,
  meta: Metadata,
  fields: T,
): KubernetesObject & T => ({ apiVersion, kind, metadata: meta, ...fields });

export const containerSecurity: Container["securityContext"] = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

/** Of the level "restricted" of Pod Security. */
export const podSecurity = (user: number, group: number) =>
  ({
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: user,
      runAsGroup: group,
      fsGroup: group,
      fsGroupChangePolicy: "OnRootMismatch",
      seccompProfile: { type: "RuntimeDefault" },
    },
  }) satisfies Partial<PodSpec>;

export const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)}Mi`;
export const gibibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 30)}Gi`;
