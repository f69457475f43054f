/** Who reaches the model, and whom it reaches. */
import { GATEWAY_PORT } from "../images.ts";
import type { DeploymentPlan } from "../plan.ts";
import { clientLabel, gatewayName, metadata, object, selectorOf } from "./naming.ts";
import { hasLocalWeights, replicasServiceName } from "./workload.ts";

export function service(plan: DeploymentPlan) {
  return object("v1", "Service", metadata(plan, plan.name), {
    spec: {
      type: "ClusterIP",
      selector: selectorOf(plan, "model"),
      ports: [{ name: "http", port: plan.run.port, targetPort: "http" }],
    },
  });
}

/** Gives the pods of a StatefulSet their names. */
export function replicasService(plan: DeploymentPlan) {
  return object("v1", "Service", metadata(plan, replicasServiceName(plan)), {
    spec: {
      clusterIP: "None",
      selector: selectorOf(plan, "model"),
      ports: [{ name: "http", port: plan.run.port, targetPort: "http" }],
    },
  });
}

const dns = {
  to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } } }],
  ports: [
    { protocol: "UDP", port: 53 },
    { protocol: "TCP", port: 53 },
  ],
};
const anyHttps = { ports: [{ protocol: "TCP", port: 443 }] };

/** Pods that may ask, and with an Ingress those of any namespace, where its controller runs. */
function clients(plan: DeploymentPlan, isFront: boolean) {
  const labelled = { podSelector: { matchLabels: { [clientLabel(plan)]: "true" } } };
  if (!isFront) return [{ podSelector: { matchLabels: selectorOf(plan, "gateway") } }];
  return [labelled, ...(plan.options.ingressHost === undefined ? [] : [{ namespaceSelector: {} }])];
}

export function networkPolicy(plan: DeploymentPlan) {
  return object("networking.k8s.io/v1", "NetworkPolicy", metadata(plan, plan.name), {
    spec: {
      podSelector: { matchLabels: selectorOf(plan, "model") },
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ from: clients(plan, !plan.options.hasGateway), ports: [{ protocol: "TCP", port: "http" }] }],
      egress: hasLocalWeights(plan) ? [] : [dns, anyHttps],
    },
  });
}

export function gatewayNetworkPolicy(plan: DeploymentPlan) {
  return object("networking.k8s.io/v1", "NetworkPolicy", metadata(plan, gatewayName(plan), "gateway"), {
    spec: {
      podSelector: { matchLabels: selectorOf(plan, "gateway") },
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ from: clients(plan, true), ports: [{ protocol: "TCP", port: "http" }] }],
      egress: [
        dns,
        {
          to: [{ podSelector: { matchLabels: selectorOf(plan, "model") } }],
          ports: [{ protocol: "TCP", port: plan.run.port }],
        },
      ],
    },
  });
}

/** @returns undefined where nobody outside is to reach it */
export function ingress(plan: DeploymentPlan) {
  const { ingressHost, ingressClass, tlsSecret, hasGateway } = plan.options;
  if (ingressHost === undefined || tlsSecret === undefined) return undefined;
  const backend = {
    service: {
      name: hasGateway ? gatewayName(plan) : plan.name,
      port: { number: hasGateway ? GATEWAY_PORT : plan.run.port },
    },
  };
  return object("networking.k8s.io/v1", "Ingress", metadata(plan, plan.name, hasGateway ? "gateway" : "model"), {
    spec: {
      ...(ingressClass !== undefined && { ingressClassName: ingressClass }),
      tls: [{ hosts: [ingressHost], secretName: tlsSecret }],
      rules: [{ host: ingressHost, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
    },
  });
}
