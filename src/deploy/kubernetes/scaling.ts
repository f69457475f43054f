/** How many replicas there are, and how many may go at once. */
import type { DeploymentPlan } from "../plan.ts";
import { metadata, object, selectorOf } from "./naming.ts";
import { workloadKind } from "./workload.ts";

/** Requests that wait for each replica before another is started. */
const WAITING_REQUESTS = 4;
const CPU_PERCENT = 75;

/** As prometheus-adapter names `vllm:num_requests_waiting`; ":" is in no name of a metric of Kubernetes. */
export const VLLM_METRIC = "vllm_num_requests_waiting";

/** One pod at a time may be evicted: with one replica there is a gap, but nodes can be drained. */
export function disruptionBudget(plan: DeploymentPlan) {
  return object("policy/v1", "PodDisruptionBudget", metadata(plan, plan.name), {
    spec: { maxUnavailable: 1, selector: { matchLabels: selectorOf(plan, "model") } },
  });
}

/** @returns undefined unless replicas may be added */
export function autoscaler(plan: DeploymentPlan) {
  const { maxReplicas, engine } = plan.options;
  if (maxReplicas === undefined) return undefined;
  const metric =
    engine === "vllm"
      ? {
          type: "Pods",
          pods: {
            metric: { name: VLLM_METRIC },
            target: { type: "AverageValue", averageValue: String(WAITING_REQUESTS) },
          },
        }
      : {
          type: "Resource",
          resource: { name: "cpu", target: { type: "Utilization", averageUtilization: CPU_PERCENT } },
        };
  const quiet = Math.min(3600, Math.max(300, plan.sizing.startSeconds));
  return object("autoscaling/v2", "HorizontalPodAutoscaler", metadata(plan, plan.name), {
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: workloadKind(plan), name: plan.name },
      minReplicas: plan.replicas,
      maxReplicas,
      metrics: [metric],
      // a replica is slow to come: it stays for at least as long
      behavior: { scaleDown: { stabilizationWindowSeconds: quiet } },
    },
  });
}
