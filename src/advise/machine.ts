/** How fast this machine multiplies matrices. */
import { compile, matmul, normal, randomKey, type Tensor, tensor } from "../tensor/index.ts";

const SIZE = 1024;
const WARM_UP = 2;

/**
 * The rate of products of f32 matrices of 1024 x 1024 on the default device, in FLOP/s: the best of what runs in so
 * many seconds.
 * @param seconds @default 1
 */
export async function measureFlops(seconds = 1): Promise<number> {
  const [a, b] = [0, 1].map((part) => normal(randomKey(part), [SIZE, SIZE]));
  const product = compile((x: Tensor<"f32">, y: Tensor<"f32">) => matmul(x, y));
  const [x, y] = await Promise.all([a, b].map(async (matrix) => tensor(await matrix.read(), { shape: [SIZE, SIZE] })));
  const end = performance.now() + 1000 * seconds;
  let best = 0;
  for (let i = 0; i <= WARM_UP || performance.now() < end; i++) {
    const started = performance.now();
    await product.run(x, y);
    const rate = (2 * SIZE ** 3) / ((performance.now() - started) / 1000);
    if (i >= WARM_UP) best = Math.max(best, rate);
  }
  product.dispose();
  return best;
}
