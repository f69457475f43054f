/** The pods of the model: a StatefulSet where each keeps a cache of its own, otherwise a Deployment. */
import { createHash } from "node:crypto";
import { CONFIG_PATH, WEIGHTS_PATH } from "../engine-run.ts";
import type { DeploymentPlan } from "../plan.ts";
import {
  configName,
  containerSecurity,
  gibibytes,
  labelsOf,
  mebibytes,
  metadata,
  object,
  podSecurity,
  secretName,
  selectorOf,
  weightsClaimName,
} from "./naming.ts";
import type { ClaimSpec, Container, EnvironmentVariable, PodSpec, Volume, VolumeMount } from "./types.ts";

const PROBE_SECONDS = 10;
/** A Service takes a while to know that a pod ends. */
const PRE_STOP_SECONDS = 5;
const GPU_RESOURCE = "nvidia.com/gpu";

/** Kubernetes replaces $(NAME) in arguments. */
const plain = (texts: readonly string[]) => texts.map((text) => text.replaceAll("$(", "$$$$("));

export const hasLocalWeights = ({ options }: DeploymentPlan): boolean => options.source.kind !== "repository";

function environmentOf(plan: DeploymentPlan): EnvironmentVariable[] {
  const { environment, secrets } = plan.run;
  return [
    ...Object.entries(environment).map(([name, value]) => ({ name, value: value.replaceAll("$(", "$$$$(") })),
    ...secrets.map(({ name, isRequired }) => ({
      name,
      valueFrom: { secretKeyRef: { name: secretName(plan), key: name, ...(!isRequired && { optional: true }) } },
    })),
  ];
}

function mountsOf(plan: DeploymentPlan): VolumeMount[] {
  const { run, options } = plan;
  return [
    { name: "cache", mountPath: run.cachePath },
    { name: "tmp", mountPath: "/tmp" },
    ...(options.engine === "vllm" ? [{ name: "shared-memory", mountPath: "/dev/shm" }] : []),
    ...(hasLocalWeights(plan) ? [{ name: "weights", mountPath: WEIGHTS_PATH, readOnly: true }] : []),
    ...(Object.keys(run.files).length > 0 ? [{ name: "config", mountPath: CONFIG_PATH, readOnly: true }] : []),
    ...run.scratch.map((mountPath, i) => ({ name: `scratch-${i}`, mountPath })),
  ];
}

function volumesOf(plan: DeploymentPlan): Volume[] {
  const { run, options } = plan;
  const claim = { claimName: weightsClaimName(plan), readOnly: true };
  return [
    ...(run.keepsCache ? [] : [{ name: "cache", emptyDir: {} }]),
    { name: "tmp", emptyDir: {} },
    ...(options.engine === "vllm"
      ? [{ name: "shared-memory", emptyDir: { medium: "Memory", sizeLimit: "2Gi" } as const }]
      : []),
    ...(hasLocalWeights(plan) ? [{ name: "weights", persistentVolumeClaim: claim }] : []),
    ...(Object.keys(run.files).length > 0 ? [{ name: "config", configMap: { name: configName(plan) } }] : []),
    ...run.scratch.map((_, i) => ({ name: `scratch-${i}`, emptyDir: {} })),
  ];
}

function serverContainer(plan: DeploymentPlan): Container {
  const { run, sizing, cpus, options } = plan;
  const memory = mebibytes(sizing.memoryBytes);
  const cards: Record<string, string> = sizing.gpus > 0 ? { [GPU_RESOURCE]: String(sizing.gpus) } : {};
  const answers = { httpGet: { path: run.healthPath, port: "http" } };
  return {
    name: options.engine,
    image: run.image,
    ...(run.entrypoint && { command: run.entrypoint }),
    args: plain(run.args),
    env: environmentOf(plan),
    ports: [{ name: "http", containerPort: run.port }],
    volumeMounts: mountsOf(plan),
    resources: { requests: { cpu: String(cpus), memory, ...cards }, limits: { memory, ...cards } },
    startupProbe: {
      ...answers,
      periodSeconds: PROBE_SECONDS,
      timeoutSeconds: 5,
      failureThreshold: Math.ceil(sizing.startSeconds / PROBE_SECONDS),
    },
    readinessProbe: { ...answers, periodSeconds: PROBE_SECONDS, timeoutSeconds: 5 },
    // Kindling answers 503 while it finishes requests: only one that does not answer is killed
    livenessProbe: {
      ...(options.engine === "kindling" ? { tcpSocket: { port: "http" } } : answers),
      periodSeconds: PROBE_SECONDS,
      timeoutSeconds: 10,
      failureThreshold: 6,
    },
    lifecycle: { preStop: { sleep: { seconds: PRE_STOP_SECONDS } } },
    securityContext: containerSecurity,
  };
}

function podSpec(plan: DeploymentPlan): PodSpec {
  const { run, options, sizing, name } = plan;
  const server = serverContainer(plan);
  const { image, env, volumeMounts, resources } = server;
  const tolerations = [...(sizing.gpus > 0 ? [GPU_RESOURCE] : []), ...(options.tolerations ?? [])];
  const init: Container[] = run.prepare
    ? [
        {
          name: "model",
          image,
          command: plain(run.prepare),
          env,
          volumeMounts,
          resources,
          securityContext: containerSecurity,
        },
      ]
    : [];
  return {
    serviceAccountName: name,
    ...podSecurity(run.user, run.group),
    terminationGracePeriodSeconds: 60,
    ...(options.nodeSelector && { nodeSelector: { ...options.nodeSelector } }),
    ...(tolerations.length > 0 && {
      tolerations: [...new Set(tolerations)].map((key) => ({ key, operator: "Exists" as const })),
    }),
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: "kubernetes.io/hostname",
        whenUnsatisfiable: "ScheduleAnyway",
        labelSelector: { matchLabels: selectorOf(plan, "model") },
      },
    ],
    ...(init.length > 0 && { initContainers: init }),
    containers: [server],
    volumes: volumesOf(plan),
  };
}

export function claimSpec(plan: DeploymentPlan, mode: ClaimSpec["accessModes"][number]): ClaimSpec {
  const { storageClass } = plan.options;
  return {
    accessModes: [mode],
    ...(storageClass !== undefined && { storageClassName: storageClass }),
    resources: { requests: { storage: gibibytes(plan.sizing.diskBytes) } },
  };
}

/** Of the Service that a StatefulSet names its pods by. */
export const replicasServiceName = ({ name }: DeploymentPlan): string => `${name}-replicas`;

export const workloadKind = ({ run }: DeploymentPlan): "StatefulSet" | "Deployment" =>
  run.keepsCache ? "StatefulSet" : "Deployment";

export function workload(plan: DeploymentPlan) {
  const { name, options, run } = plan;
  const config = createHash("sha256").update(JSON.stringify(run.files)).digest("hex");
  const common = {
    // an autoscaler decides otherwise: a number here would undo it at each apply
    ...(options.maxReplicas === undefined && { replicas: plan.replicas }),
    selector: { matchLabels: selectorOf(plan, "model") },
    template: {
      metadata: { labels: labelsOf(plan, "model"), annotations: { "kindling-deploy/config": config } },
      spec: podSpec(plan),
    },
  };
  if (workloadKind(plan) === "Deployment") {
    // cards and volumes of one writer are not there twice: an old pod goes first
    const strategy = { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } };
    return object("apps/v1", "Deployment", metadata(plan, name), { spec: { ...common, strategy } });
  }
  return object("apps/v1", "StatefulSet", metadata(plan, name), {
    spec: {
      ...common,
      serviceName: replicasServiceName(plan),
      podManagementPolicy: "Parallel",
      volumeClaimTemplates: [
        { metadata: { name: "cache", labels: selectorOf(plan, "model") }, spec: claimSpec(plan, "ReadWriteOnce") },
      ],
    },
  });
}
