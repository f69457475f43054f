/** A deployment for Docker Compose: https://github.com/compose-spec/compose-spec. */
import { CONFIG_PATH, WEIGHTS_PATH } from "./engine-run.ts";
import { GATEWAY_PATH, gatewayConfig, KEYS_PATH } from "./gateway-config.ts";
import { GATEWAY_PORT } from "./images.ts";
import type { ModelSource } from "./options.ts";
import { type DeploymentPlan, sizingTable } from "./plan.ts";
import type { DeploymentFile } from "./write.ts";
import { type YamlNote, yamlFile } from "./yaml-file.ts";

interface Mount {
  type: "bind" | "volume";
  source: string;
  target: string;
  read_only?: boolean;
  bind?: { create_host_path: boolean };
}

interface Service {
  image: string;
  entrypoint?: string[];
  command?: string[];
  user: string;
  environment?: Record<string, string>;
  volumes?: Mount[];
  secrets?: { source: string; target: string }[];
  ports?: string[];
  depends_on?: Record<string, { condition: "service_completed_successfully" | "service_healthy" }>;
  healthcheck?: { test: string[]; interval: string; timeout: string; retries: number; start_period: string };
  deploy?: {
    resources: {
      limits: { cpus: string; memory: string; pids: number };
      reservations?: { devices: { driver: string; count: number; capabilities: string[] }[] };
    };
  };
  shm_size?: string;
  read_only: boolean;
  tmpfs?: string[];
  cap_drop: string[];
  cap_add?: string[];
  security_opt: string[];
  stop_grace_period?: string;
  restart: "unless-stopped" | "no";
}

interface ComposeFile {
  name: string;
  services: Record<string, Service>;
  volumes?: Record<string, object>;
  secrets?: Record<string, { file: string }>;
}

/** Compose replaces $NAME in texts. */
const plain = (text: string) => text.replaceAll("$", "$$$$");
const plainAll = (texts: readonly string[]) => texts.map(plain);
/** Refuses to start while it is not set. */
const requiredSecret = (name: string) => `\${${name}:?set it in .env}`;
const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)}M`;
/** Kernels that are compiled while a server runs may be loaded from there; Docker forbids it otherwise. */
const TEMPORARY = "/tmp:exec,mode=1777";
const secured = { read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] };

function weightsMount(source: ModelSource): Mount[] {
  if (source.kind === "repository") return [];
  const target = source.kind === "file" ? `${WEIGHTS_PATH}/${source.base}` : WEIGHTS_PATH;
  return [mountOf(source.path, target)];
}

const mountOf = (source: string, target: string): Mount => ({
  type: "bind",
  source: plain(source),
  target: plain(target),
  read_only: true,
  bind: { create_host_path: false },
});

function engineService(plan: DeploymentPlan): Service {
  const { run, sizing, options, cpus } = plan;
  const files = Object.keys(run.files).map((name) => mountOf(`./${name}`, `${CONFIG_PATH}/${name}`));
  const devices = [{ driver: "nvidia", count: sizing.gpus, capabilities: ["gpu"] }];
  return {
    image: run.image,
    ...(run.entrypoint && { entrypoint: run.entrypoint }),
    command: plainAll(run.args),
    user: `${run.user}:${run.group}`,
    environment: { ...plainValues(run.environment), ...secretsOf(plan) },
    volumes: [...weightsMount(options.source), ...files, { type: "volume", source: "cache", target: run.cachePath }],
    ...(!options.hasGateway && { ports: [`127.0.0.1:${run.port}:${run.port}`] }),
    healthcheck: {
      test: ["CMD", ...plainAll(run.healthCommand)],
      interval: "10s",
      timeout: "5s",
      retries: 3,
      start_period: `${sizing.startSeconds}s`,
    },
    deploy: {
      resources: {
        limits: { cpus: String(cpus), memory: mebibytes(sizing.memoryBytes), pids: 4096 },
        ...(sizing.gpus > 0 && { reservations: { devices } }),
      },
    },
    ...(options.engine === "vllm" && { shm_size: "2g" }),
    ...secured,
    tmpfs: [TEMPORARY, ...run.scratch.map((path) => `${path}:uid=${run.user},gid=${run.group},mode=0700`)],
    stop_grace_period: "40s",
    restart: "unless-stopped",
  };
}

const plainValues = (values: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, plain(value)]));

const secretsOf = ({ run }: DeploymentPlan): Record<string, string> =>
  Object.fromEntries(
    run.secrets.map(({ name, isRequired }) => [name, isRequired ? requiredSecret(name) : `\${${name}:-}`]),
  );

/** A new volume is root's: it is handed to the user of the server. */
function cacheOwner({ run }: DeploymentPlan): Service {
  return {
    image: run.image,
    entrypoint: ["chown", `${run.user}:${run.group}`, run.cachePath],
    user: "0:0",
    volumes: [{ type: "volume", source: "cache", target: run.cachePath }],
    ...secured,
    cap_add: ["CHOWN"],
    restart: "no",
  };
}

/** Does what there is to do before the server starts, with what the server has. */
function prepareService(server: Service, prepare: readonly string[]): Service {
  const { image, user, environment, volumes, deploy, tmpfs } = server;
  const entrypoint = plainAll(prepare);
  return { image, entrypoint, user, environment, volumes, deploy, ...secured, tmpfs, restart: "no" };
}

function gatewayService(plan: DeploymentPlan): Service {
  const secret = plan.run.secrets.find(({ isRequired }) => isRequired)?.name;
  return {
    image: plan.gatewayImage,
    command: ["gateway", `${GATEWAY_PATH}/gateway.yaml`, "--log=json"],
    user: "1000:1000",
    ...(secret && { environment: { [secret]: requiredSecret(secret) } }),
    volumes: [mountOf("./gateway.yaml", `${GATEWAY_PATH}/gateway.yaml`)],
    secrets: [{ source: "keys", target: KEYS_PATH }],
    ports: [`127.0.0.1:${GATEWAY_PORT}:${GATEWAY_PORT}`],
    depends_on: { [plan.name]: { condition: "service_healthy" } },
    healthcheck: {
      test: ["CMD", "node", "-e", gatewayHealth],
      interval: "10s",
      timeout: "5s",
      retries: 3,
      start_period: "30s",
    },
    deploy: { resources: { limits: { cpus: "1", memory: "512M", pids: 512 } } },
    ...secured,
    tmpfs: [TEMPORARY, "/var/lib/kindling:uid=1000,gid=1000,mode=0700"],
    stop_grace_period: "40s",
    restart: "unless-stopped",
  };
}

const gatewayHealth = `fetch("http://127.0.0.1:${GATEWAY_PORT}/health").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`;

function composeFile(plan: DeploymentPlan): ComposeFile {
  const { name, run, options } = plan;
  const server = engineService(plan);
  const services: Record<string, Service> = {};
  const before: NonNullable<Service["depends_on"]> = {};
  // Kindling's image has the folder already, and a new volume is its user's
  if (options.engine !== "kindling") {
    services[`${name}-cache`] = cacheOwner(plan);
    before[`${name}-cache`] = { condition: "service_completed_successfully" };
  }
  if (run.prepare) {
    services[`${name}-model`] = { ...prepareService(server, run.prepare), depends_on: { ...before } };
    before[`${name}-model`] = { condition: "service_completed_successfully" };
  }
  services[name] = { ...server, ...(Object.keys(before).length > 0 && { depends_on: before }) };
  if (options.hasGateway) services[`${name}-gateway`] = gatewayService(plan);
  return {
    name,
    services,
    volumes: { cache: {} },
    ...(options.hasGateway && { secrets: { keys: { file: "./keys.json" } } }),
  };
}

/** compose.yaml, .env for secrets, and what they mount. */
export function composeFiles(plan: DeploymentPlan): DeploymentFile[] {
  const { name, run, options, sizing } = plan;
  const notes: YamlNote[] = [
    { path: ["services", name, "deploy"], comment: "memory and cards by the arithmetic above" },
    {
      path: ["services", name, "healthcheck"],
      comment: `reading the weights may take ${sizing.startSeconds} s on a slow disk and network`,
    },
  ];
  const port = options.hasGateway ? GATEWAY_PORT : run.port;
  const starts = [
    `docker compose up -d        # http://127.0.0.1:${port}/v1, model ${name}; of this machine only`,
    ...(options.hasGateway ? ["before: kindling keys add app --file keys.json, readable for user 1000"] : []),
    ...(run.secrets.length > 0 ? ["before: set the secrets in .env"] : []),
    ...(run.image.startsWith("kindling:") || (options.hasGateway && plan.gatewayImage.startsWith("kindling:"))
      ? [`before: docker build -f deploy/Dockerfile -t ${plan.gatewayImage} . (in Kindling's repository)`]
      : []),
  ];
  const comment = `Written by kindling deploy.\n${starts.join("\n")}\n\n${sizingTable(plan)}`;
  const files: DeploymentFile[] = [
    { path: "compose.yaml", content: yamlFile(composeFile(plan), comment, notes) },
    ...Object.entries(run.files).map(([path, content]) => ({ path, content })),
  ];
  if (run.secrets.length > 0) files.push({ path: ".env", content: environmentFile(plan), isSecret: true });
  if (options.hasGateway) {
    const config = yamlFile(
      gatewayConfig(plan, [`${name}-gateway`]),
      "Written by kindling deploy; see docs/gateway.md.",
    );
    files.push({ path: "gateway.yaml", content: config });
  }
  return files;
}

/** Values are left empty: Compose refuses to start without those that are required. */
const environmentFile = ({ run }: DeploymentPlan): string =>
  run.secrets
    .map(({ name, isRequired, purpose }) => {
      const how = isRequired ? "needed; make one with: openssl rand -hex 32" : "may stay empty";
      return `# a key ${purpose} (${how})\n${name}=\n`;
    })
    .join("");
