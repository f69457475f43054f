/** Files of private deployments of models, for Compose and Kubernetes, sized by the models' headers. Imports files/. */
import { composeFiles } from "./compose.ts";
import { kubernetesFiles } from "./kubernetes/files.ts";
import type { DeploymentPlan } from "./plan.ts";
import type { DeploymentFile } from "./write.ts";

export { type Engine, engines } from "./images.ts";
export { type DeployOptions, type ModelSource, targets } from "./options.ts";
export { type DeploymentPlan, planDeployment, sizingTable } from "./plan.ts";
export { writeDeployment } from "./write.ts";

/** The files of a deployment, for its target. */
export const deploymentFiles = (plan: DeploymentPlan): DeploymentFile[] =>
  plan.options.target === "compose" ? composeFiles(plan) : kubernetesFiles(plan);
