/**
 * Batches by number. A batch is tensors, in arrays and objects as a method of training wants them; it depends on the
 * number alone, so that a run can go on anywhere. Each new combination of shapes is compiled for itself: pad to few
 * lengths.
 */
export interface Source<B> {
  /** The batch of a number, from 0 on: the same one each time. Numbers from `count` on are not asked for. */
  batch(index: number): Promise<B>;
  /** Batches there are, from number 0 on. @default no end */
  readonly count?: number;
}
