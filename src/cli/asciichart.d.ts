declare module "asciichart" {
  export function plot(
    series: readonly number[],
    options?: { height?: number; format?: (x: number) => string },
  ): string;
}
