import { type Labels, requirePairs } from "./checks.ts";
import { confusionMatrix } from "./classes.ts";

/**
 * The correlation of predictions and labels, from -1 to 1, of two classes or more; 0 where all are of one class.
 * scikit-learn's `matthews_corrcoef`. @throws DataError where lengths differ or there are no rows
 */
export function matthewsCorrelation(predictions: Labels, labels: Labels): number {
  const count = requirePairs("matthewsCorrelation", predictions, labels);
  const { counts } = confusionMatrix(predictions, labels);
  const actual = counts.map((row) => row.reduce((sum, value) => sum + value, 0));
  const predicted = counts.map((_, j) => counts.reduce((sum, row) => sum + row[j], 0));
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const hits = counts.reduce((sum, row, i) => sum + row[i], 0);
  const covariance = hits * count - dot(actual, predicted);
  const spread = (count ** 2 - dot(predicted, predicted)) * (count ** 2 - dot(actual, actual));
  return spread === 0 ? 0 : covariance / Math.sqrt(spread);
}
