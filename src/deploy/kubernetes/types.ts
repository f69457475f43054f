/** The parts of Kubernetes' objects that are written here: https://kubernetes.io/docs/reference/kubernetes-api. */
export interface Metadata {
  name: string;
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: Metadata;
}

export interface EnvironmentVariable {
  name: string;
  value?: string;
  valueFrom?: { secretKeyRef: { name: string; key: string; optional?: boolean } };
}

export interface VolumeMount {
  name: string;
  mountPath: string;
  readOnly?: boolean;
  subPath?: string;
}

export interface Probe {
  httpGet?: { path: string; port: string };
  tcpSocket?: { port: string };
  periodSeconds: number;
  timeoutSeconds?: number;
  failureThreshold?: number;
}

export interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env?: EnvironmentVariable[];
  ports?: { name: string; containerPort: number }[];
  volumeMounts?: VolumeMount[];
  resources?: { requests: Record<string, string>; limits: Record<string, string> };
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
  lifecycle?: { preStop: { sleep: { seconds: number } } };
  securityContext: {
    allowPrivilegeEscalation: false;
    readOnlyRootFilesystem: true;
    capabilities: { drop: ["ALL"] };
  };
}

export interface Volume {
  name: string;
  emptyDir?: { medium?: "Memory"; sizeLimit?: string };
  configMap?: { name: string };
  secret?: { secretName: string };
  persistentVolumeClaim?: { claimName: string; readOnly?: boolean };
}

export interface PodSpec {
  serviceAccountName?: string;
  automountServiceAccountToken: false;
  enableServiceLinks: false;
  terminationGracePeriodSeconds?: number;
  restartPolicy?: "Never";
  securityContext: {
    runAsNonRoot: true;
    runAsUser: number;
    runAsGroup: number;
    fsGroup: number;
    fsGroupChangePolicy: "OnRootMismatch";
    seccompProfile: { type: "RuntimeDefault" };
  };
  nodeSelector?: Record<string, string>;
  tolerations?: { key: string; operator: "Exists" }[];
  topologySpreadConstraints?: object[];
  initContainers?: Container[];
  containers: Container[];
  volumes: Volume[];
}

export interface ClaimSpec {
  accessModes: ("ReadWriteOnce" | "ReadWriteMany")[];
  storageClassName?: string;
  resources: { requests: { storage: string } };
}
