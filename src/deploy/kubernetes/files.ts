/** A deployment for Kubernetes: a file for each object, as reviews and overlays of kustomize want them. */
import { WEIGHTS_PATH } from "../engine-run.ts";
import { type DeploymentPlan, sizingTable } from "../plan.ts";
import type { DeploymentFile } from "../write.ts";
import { type YamlNote, yamlFile } from "../yaml-file.ts";
import { gatewayConfigMap, gatewayDeployment, gatewayService } from "./gateway.ts";
import {
  clientLabel,
  configName,
  containerSecurity,
  gatewaySecretName,
  metadata,
  object,
  podSecurity,
  secretName,
  weightsClaimName,
} from "./naming.ts";
import { gatewayNetworkPolicy, ingress, networkPolicy, replicasService, service } from "./network.ts";
import { autoscaler, disruptionBudget, VLLM_METRIC } from "./scaling.ts";
import type { KubernetesObject } from "./types.ts";
import { claimSpec, hasLocalWeights, workload, workloadKind } from "./workload.ts";

interface ObjectFile {
  path: string;
  value: KubernetesObject;
  comment?: string;
  notes?: readonly YamlNote[];
}

const WRITER = "Written by kindling deploy.";
const LOADER = "weights-loader.yaml";
const SECRET = "secret.template.yaml";

const toFile = ({ path, value, comment, notes }: ObjectFile): DeploymentFile => ({
  path,
  content: yamlFile(value, comment ? `${WRITER}\n${comment}` : WRITER, notes),
});

/** kustomization.yaml, the objects that it lists, and beside them what is applied by hand: secrets, the loader. */
export function kubernetesFiles(plan: DeploymentPlan): DeploymentFile[] {
  const objects = objectFiles(plan);
  return [
    { path: "kustomization.yaml", content: kustomization(plan, objects) },
    ...objects.map(toFile),
    ...besides(plan).map(toFile),
  ];
}

function kustomization(plan: DeploymentPlan, objects: readonly ObjectFile[]): string {
  const { namespace } = plan.options;
  const create = namespace === undefined ? [] : [`kubectl create namespace ${namespace}`];
  const steps = [
    ...create,
    ...secretSteps(plan),
    ...(hasLocalWeights(plan) ? loaderSteps(plan) : []),
    "kubectl apply -k .",
  ];
  return yamlFile(
    {
      apiVersion: "kustomize.config.k8s.io/v1beta1",
      kind: "Kustomization",
      ...(namespace !== undefined && { namespace }),
      resources: objects.map(({ path }) => path),
    },
    `${WRITER} In this folder:\n${steps.map((step) => `  ${step}`).join("\n")}\n\n${sizingTable(plan)}`,
  );
}

const inNamespace = ({ options }: DeploymentPlan): string =>
  options.namespace === undefined ? "" : ` -n ${options.namespace}`;

function secretSteps(plan: DeploymentPlan): string[] {
  const required = plan.run.secrets.filter(({ isRequired }) => isRequired);
  const literals = required.map(({ name }) => `--from-literal=${name}="$(openssl rand -hex 32)"`).join(" ");
  const create = `kubectl create secret generic${inNamespace(plan)}`;
  return [
    ...(required.length > 0 && plan.options.apiKeySecret === undefined
      ? [`${create} ${secretName(plan)} ${literals}`]
      : []),
    ...(plan.options.hasGateway
      ? ["kindling keys add app --file keys.json", `${create} ${gatewaySecretName(plan)} --from-file=keys.json`]
      : []),
  ];
}

function loaderSteps(plan: DeploymentPlan): string[] {
  const { source } = plan.options;
  const pod = `${plan.name}-weights-loader`;
  const n = inNamespace(plan);
  const pack = source.kind === "file" ? "tar -C FOLDER -chf - FILE.gguf" : "tar -C FOLDER -chf - .";
  return [
    `kubectl apply${n} -f pvc.yaml -f ${LOADER} && kubectl wait${n} --for=condition=Ready pod/${pod} --timeout=10m`,
    `${pack} | kubectl exec${n} -i ${pod} -- tar -C ${WEIGHTS_PATH} --no-same-owner -xf -`,
    `kubectl delete${n} -f ${LOADER}`,
  ];
}

function objectFiles(plan: DeploymentPlan): ObjectFile[] {
  const { run, options, name, replicas } = plan;
  const many = replicas > 1 || options.maxReplicas !== undefined;
  const account = object("v1", "ServiceAccount", metadata(plan, name), { automountServiceAccountToken: false });
  const files: ObjectFile[] = [{ path: "serviceaccount.yaml", value: account }];
  if (Object.keys(run.files).length > 0)
    files.push({
      path: "configmap.yaml",
      value: object("v1", "ConfigMap", metadata(plan, configName(plan)), { data: run.files }),
    });
  if (hasLocalWeights(plan)) {
    const spec = claimSpec(plan, many ? "ReadWriteMany" : "ReadWriteOnce");
    files.push({
      path: "pvc.yaml",
      value: object("v1", "PersistentVolumeClaim", metadata(plan, weightsClaimName(plan)), { spec }),
      comment: `The weights, filled once by ${LOADER}. ${many ? "Several replicas read it: its storage class must have ReadWriteMany." : "One replica reads it."}`,
    });
  }
  files.push(workloadFile(plan), { path: "service.yaml", value: service(plan) });
  if (workloadKind(plan) === "StatefulSet") files.push({ path: "service-replicas.yaml", value: replicasService(plan) });
  files.push({ path: "pdb.yaml", value: disruptionBudget(plan) }, policyFile(plan));
  const scaler = autoscaler(plan);
  if (scaler) files.push({ path: "hpa.yaml", value: scaler, comment: scalerComment(plan) });
  const front = ingress(plan);
  if (front) files.push({ path: "ingress.yaml", value: front, comment: INGRESS_COMMENT });
  return options.hasGateway ? [...files, ...gatewayFiles(plan)] : files;
}

function workloadFile(plan: DeploymentPlan): ObjectFile {
  const container = ["spec", "template", "spec", "containers", 0];
  const kind = workloadKind(plan);
  return {
    path: `${kind.toLowerCase()}.yaml`,
    value: workload(plan),
    comment: sizingTable(plan),
    notes: [
      {
        path: [...container, "resources"],
        comment: "by the arithmetic above; without a limit of cpu, which would slow every answer",
      },
      {
        path: [...container, "startupProbe"],
        comment: `${plan.sizing.startSeconds} s: reading the weights from a slow disk${plan.options.source.kind === "repository" ? ", fetching them" : ""}, starting`,
      },
      ...(kind === "StatefulSet"
        ? [{ path: ["spec", "volumeClaimTemplates"], comment: "a cache for each replica: any storage class will do" }]
        : []),
    ],
  };
}

function policyFile(plan: DeploymentPlan): ObjectFile {
  const who = plan.options.hasGateway
    ? "Only the gateway asks the model."
    : `Pods of this namespace with the label ${clientLabel(plan)}: "true" may ask the model${plan.options.ingressHost ? ", and any with an Ingress: narrow it to its controller's namespace" : ""}.`;
  const whom = hasLocalWeights(plan) ? "It reaches nobody." : "It reaches names and HTTPS, to fetch weights.";
  return { path: "networkpolicy.yaml", value: networkPolicy(plan), comment: `${who} ${whom}` };
}

const INGRESS_COMMENT =
  "Answers take minutes and come in pieces: let the controller wait (nginx: proxy-read-timeout) and not buffer (proxy-buffering: off).";

const scalerComment = ({ options }: DeploymentPlan): string =>
  options.engine === "vllm"
    ? `By requests that wait, vllm:num_requests_waiting of GET /metrics. A cluster knows it only by an adapter, such as\nprometheus-adapter, that gives it as ${VLLM_METRIC}; without one nothing is scaled. CPU says nothing about cards.`
    : "By CPU, which writing a text uses whole, and which metrics-server must measure. It says how busy replicas are, not how many wait.";

function gatewayFiles(plan: DeploymentPlan): ObjectFile[] {
  return [
    { path: "gateway-configmap.yaml", value: gatewayConfigMap(plan) },
    { path: "gateway-deployment.yaml", value: gatewayDeployment(plan) },
    { path: "gateway-service.yaml", value: gatewayService(plan) },
    {
      path: "gateway-networkpolicy.yaml",
      value: gatewayNetworkPolicy(plan),
      comment: `Pods with the label ${clientLabel(plan)}: "true" may ask the gateway${plan.options.ingressHost ? ", and any with an Ingress: narrow it to its controller's namespace" : ""}.`,
    },
  ];
}

/** What kustomization.yaml does not list: an apply must not put empty secrets in the place of real ones. */
function besides(plan: DeploymentPlan): ObjectFile[] {
  const { run, options, name } = plan;
  const files: ObjectFile[] = [];
  if (run.secrets.length > 0 && options.apiKeySecret === undefined) {
    const keys = run.secrets.map(
      ({ name: key, isRequired, purpose }) => `  ${key}: a key ${purpose}${isRequired ? "" : "; may be left out"}`,
    );
    files.push({
      path: SECRET,
      value: object("v1", "Secret", metadata(plan, secretName(plan)), { type: "Opaque", stringData: {} }),
      comment: `A template: make the Secret from your store of secrets, or as kustomization.yaml says. Pods do not start without it.\nstringData:\n${keys.join("\n")}`,
    });
  }
  if (hasLocalWeights(plan)) {
    const weights = { name: "weights", mountPath: WEIGHTS_PATH };
    const pod = {
      ...podSecurity(run.user, run.group),
      restartPolicy: "Never",
      containers: [
        {
          name: "loader",
          image: run.image,
          command: ["sleep", "86400"],
          volumeMounts: [weights],
          securityContext: containerSecurity,
        },
      ],
      volumes: [{ name: "weights", persistentVolumeClaim: { claimName: weightsClaimName(plan) } }],
    };
    files.push({
      path: LOADER,
      value: object(
        "v1",
        "Pod",
        { ...metadata(plan, `${name}-weights-loader`), labels: { "app.kubernetes.io/instance": `${name}-loader` } },
        { spec: pod },
      ),
      comment: "Waits for the weights to be copied into the claim; see kustomization.yaml.",
    });
  }
  return files;
}
