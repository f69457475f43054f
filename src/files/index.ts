/**
 * Files: safetensors, torch checkpoints, GGUF, JSON, read from a disk, an address or memory; and writes that survive a
 * crash. Imports base/.
 */
export { ArrayFile } from "./array-file.ts";
export { completeFolder, settleFolder, writeFileAtomic, writeFolderAtomic } from "./atomic.ts";
export { browserStore } from "./browser-store.ts";
export { cacheFolder, removeLeastUsed } from "./cache-folder.ts";
export { hasChecksums, sha256OfFile, verifyChecksums, writeChecksums } from "./checksums.ts";
export { commandLine } from "./command-line.ts";
export { diskFile, diskFolder, fileAt, folderAt } from "./disk.ts";
export { exists } from "./exists.ts";
export { decodeFloat4, encodeFloat4, type Float4Numbers, float4Source } from "./float4-blocks.ts";
export { makeFolder, makeFolderSync } from "./folder.ts";
export {
  GgufFile,
  type GgufHeader,
  type GgufTensorInfo,
  type GgufValue,
  parseGgufHeader,
  readGgufHeader,
} from "./gguf.ts";
export { blockFormats, blockSource, decodeBlocks, encodeBlocks, type GgufType, packBlocks } from "./gguf-blocks.ts";
export { GgufFloat, type GgufTensor, type GgufWritable, writeGguf } from "./gguf-writer.ts";
export { JsonReal, readJson, readJsonList, writeJson } from "./json.ts";
export { type Koffi, loadKoffi } from "./koffi.ts";
export { FolderLock } from "./lock.ts";
export { claimMemory, isMapped, mapBytes, releasePages } from "./mapped.ts";
export { ownerModes } from "./owner-modes.ts";
export { type PartStore, StoredDownloads } from "./part-store.ts";
export { readBytes, readText, withSource } from "./read.ts";
export {
  eachSafetensor,
  parseHeader,
  type ReadOptions,
  readSafetensors,
  readSafetensorsHeader,
  type SafetensorsHeader,
  type StoredTensor,
  type TensorInfo,
  writeSafetensors,
} from "./safetensors.ts";
export {
  type ByteSource,
  type Folder,
  isFile,
  listedFolder,
  memoryFile,
  memoryFolder,
  type StoredFile,
} from "./source.ts";
export { SpillFile } from "./spill-file.ts";
export { isSystemError, systemError, WriteError, withReadErrors, withWriteErrors } from "./system-errors.ts";
export { readTfjsWeights } from "./tfjs.ts";
export { readTorch } from "./torch.ts";
export { encodePath, type Request, type WebOptions, webFile, webFolder, webRequest } from "./web.ts";
