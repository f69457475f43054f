import type { LogitsWarper } from "./warper.ts";

/** Divides scores: below 1 the likely become likelier. */
export const temperatureOf =
  (temperature: number): LogitsWarper =>
  ({ scores }) => {
    for (let i = 0; i < scores.length; i++) scores[i] /= temperature;
  };
