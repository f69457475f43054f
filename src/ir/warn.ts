/** Tells on standard error of what was passed over or put right, and does not stop the work. */
export function warn(where: string, message: string): void {
  console.warn(`warning: ${where}: ${message}`);
}
