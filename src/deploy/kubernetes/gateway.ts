/** Kindling's gateway in front of the model. */
import { createHash } from "node:crypto";
import { GATEWAY_PATH, gatewayConfig, KEYS_PATH } from "../gateway-config.ts";
import { GATEWAY_PORT } from "../images.ts";
import type { DeploymentPlan } from "../plan.ts";
import { yamlFile } from "../yaml-file.ts";
import {
  containerSecurity,
  gatewayName,
  gatewaySecretName,
  labelsOf,
  metadata,
  object,
  podSecurity,
  secretName,
  selectorOf,
} from "./naming.ts";
import type { Container } from "./types.ts";

const USER = 1000;
const MEMORY = "512Mi";

/** gateway.yaml as text. */
function gatewayText(plan: DeploymentPlan): string {
  const { namespace, ingressHost } = plan.options;
  const name = gatewayName(plan);
  const hosts = [name, `${name}.${namespace ?? "default"}`, ".svc", ".cluster.local"];
  const config = gatewayConfig(plan, ingressHost === undefined ? hosts : [...hosts, ingressHost]);
  return yamlFile(config, "Written by kindling deploy; see docs/gateway.md.");
}

export function gatewayConfigMap(plan: DeploymentPlan) {
  return object("v1", "ConfigMap", metadata(plan, gatewayName(plan), "gateway"), {
    data: { "gateway.yaml": gatewayText(plan) },
  });
}

export function gatewayService(plan: DeploymentPlan) {
  return object("v1", "Service", metadata(plan, gatewayName(plan), "gateway"), {
    spec: {
      type: "ClusterIP",
      selector: selectorOf(plan, "gateway"),
      ports: [{ name: "http", port: GATEWAY_PORT, targetPort: "http" }],
    },
  });
}

function container(plan: DeploymentPlan): Container {
  const secret = plan.run.secrets.find(({ isRequired }) => isRequired)?.name;
  const answers = { httpGet: { path: "/health", port: "http" }, periodSeconds: 10, timeoutSeconds: 5 };
  return {
    name: "gateway",
    image: plan.gatewayImage,
    args: ["gateway", `${GATEWAY_PATH}/gateway.yaml`, "--log=json"],
    ...(secret && {
      env: [{ name: secret, valueFrom: { secretKeyRef: { name: secretName(plan), key: secret } } }],
    }),
    ports: [{ name: "http", containerPort: GATEWAY_PORT }],
    volumeMounts: [
      { name: "config", mountPath: GATEWAY_PATH, readOnly: true },
      { name: "keys", mountPath: KEYS_PATH.slice(0, KEYS_PATH.lastIndexOf("/")), readOnly: true },
      { name: "tmp", mountPath: "/tmp" },
    ],
    resources: { requests: { cpu: "250m", memory: MEMORY }, limits: { memory: MEMORY } },
    startupProbe: { ...answers, failureThreshold: 6 },
    readinessProbe: answers,
    livenessProbe: { tcpSocket: { port: "http" }, periodSeconds: 10, failureThreshold: 6 },
    lifecycle: { preStop: { sleep: { seconds: 5 } } },
    securityContext: containerSecurity,
  };
}

export function gatewayDeployment(plan: DeploymentPlan) {
  const config = createHash("sha256").update(gatewayText(plan)).digest("hex");
  return object("apps/v1", "Deployment", metadata(plan, gatewayName(plan), "gateway"), {
    spec: {
      replicas: 1, // budgets are counted in it; several need a store that they share, see docs/gateway.md
      selector: { matchLabels: selectorOf(plan, "gateway") },
      template: {
        metadata: { labels: labelsOf(plan, "gateway"), annotations: { "kindling-deploy/config": config } },
        spec: {
          ...podSecurity(USER, USER),
          serviceAccountName: plan.name,
          terminationGracePeriodSeconds: 60,
          containers: [container(plan)],
          volumes: [
            { name: "config", configMap: { name: gatewayName(plan) } },
            { name: "keys", secret: { secretName: gatewaySecretName(plan) } },
            { name: "tmp", emptyDir: {} },
          ],
        },
      },
    },
  });
}
