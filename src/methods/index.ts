/** Methods of training that need more than a model and its loss. Imports train/, peft/, generate/ and below. */
export { adapterTraining } from "./adapter-training.ts";
