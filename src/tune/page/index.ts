/** The page with the trials of a study: one file, or served while the study runs. */
export { studyPage } from "./document.ts";
export { type ServeStudyOptions, type StudyServer, serveStudy } from "./serve.ts";
