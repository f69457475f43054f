/** Files: safetensors, JSON, and writes that survive a crash. Imports ir/. */
export { folderCandidates, writeFileAtomic, writeFolderAtomic } from "./atomic.ts";
export { readJson, writeJson } from "./json.ts";
export { parseHeader, readSafetensors, type SafetensorsHeader, type StoredTensor, type TensorInfo, writeSafetensors } from "./safetensors.ts";
