/** From pictures and sounds to what models read. Imports tensor/, files/ and ir/. */

export { loadImage } from "#processors/load-image";
export { ImageProcessor, type ProcessedImages, type ProcessOptions } from "./image.ts";
export { type ImageArrays, imageArrays, imageTensors } from "./image-arrays.ts";
export { imageProcessorClasses } from "./image-settings.ts";
export { type LogMelOptions, logMelSpectrogram, melFilters } from "./log-mel.ts";
export { readProcessor, requireWhisperFeatures } from "./processor-files.ts";
export { resample } from "./resample.ts";
export { centerCrop, type LoadImageOptions, type RawImage, type ResizeFilter, resizeImage, toRgb } from "./resize.ts";
export { readWav, type Sound, toMono } from "./wav.ts";
