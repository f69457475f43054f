import { type Arrow, type Expression, empty, sequence, text } from "../expression.ts";
import { requireWithin } from "../limits.ts";
import { type All, type ArrayConditions, allOf, itemSchema } from "./conditions.ts";
import { unsupported } from "./document.ts";
import type { ValueWriter } from "./value-writer.ts";

/** Values of which lists of different ones are written out: there are 2 to the power of it sets of them. */
const MOST_UNIQUE_VALUES = 8;

/** Where a list is: how many items it has, how many of those each `contains` has counted, which values are used up. */
interface Place {
  readonly numItems: number;
  readonly counts: readonly number[];
  readonly used: readonly string[];
}

const keyOf = ({ numItems, counts, used }: Place) => `${numItems}|${counts.join()}|${used.join()}`;

/** The lists that meet some conditions: a graph of the places that a list may be at. */
export function arrayExpression(conditions: ArrayConditions, writer: ValueWriter, where: string): Expression {
  const places = new ArrayPlaces(conditions, writer, where);
  const { arrows, ends } = places.graph();
  const inside: Expression = { type: "graph", arrows, ends };
  return sequence(text("["), writer.space, inside, writer.space, text("]"));
}

class ArrayPlaces {
  private readonly conditions: ArrayConditions;
  private readonly writer: ValueWriter;
  private readonly where: string;
  /** Numbers of items above it are alike. */
  private readonly most: number;

  constructor(conditions: ArrayConditions, writer: ValueWriter, where: string) {
    this.conditions = conditions;
    this.writer = writer;
    this.where = where;
    const { items, min, max } = conditions;
    const fixed = Math.max(1, min, ...items.map(({ prefix }) => prefix.length));
    this.most = max === Number.POSITIVE_INFINITY ? fixed : max;
  }

  graph(): { arrows: Arrow[]; ends: number[] } {
    const start: Place = { numItems: 0, counts: this.conditions.contains.map(() => 0), used: [] };
    const numbers = new Map([[keyOf(start), 0]]);
    const places = [start];
    const arrows: Arrow[] = [];
    for (const [from, place] of places.entries()) {
      for (const { next, label } of this.steps(place)) {
        const key = keyOf(next);
        let to = numbers.get(key);
        if (to === undefined) {
          to = places.length;
          requireWithin("automatonStates", to, this.where, "places of a list");
          numbers.set(key, to);
          places.push(next);
        }
        const comma = place.numItems > 0 ? this.writer.comma : empty;
        arrows.push({ from, to, label: sequence(comma, label) });
      }
    }
    const ends = [...places.keys()].filter((i) => this.mayEnd(places[i]));
    return { arrows, ends };
  }

  private mayEnd({ numItems, counts }: Place): boolean {
    const { min, contains } = this.conditions;
    return numItems >= min && contains.every((rule, i) => counts[i] >= rule.min);
  }

  private steps(place: Place): { next: Place; label: Expression }[] {
    const { items, max, unique } = this.conditions;
    if (place.numItems >= max) return [];
    const numItems = Math.min(place.numItems + 1, this.most);
    const counted = this.counted(place.counts, itemSchema(items, place.numItems));
    return counted.flatMap(({ counts, schema }) => {
      if (unique === undefined || max <= 1)
        return [{ next: { numItems, counts, used: [] }, label: this.writer.valueOf(schema) }];
      const values = this.writer.fewValues(schema, MOST_UNIQUE_VALUES, this.where);
      if (!values) {
        throw unsupported(
          unique,
          `uniqueItems of at most ${MOST_UNIQUE_VALUES} values, as those of an enum`,
          "leave it out, and look for items that are there twice yourself",
        );
      }
      return values
        .filter((value) => !place.used.includes(value))
        .map((value) => ({ next: { numItems, counts, used: [...place.used, value].sort() }, label: text(value) }));
    });
  }

  /**
   * What an item may be for `contains`: one that counts, or one that does not. Where there is a most, those that do not
   * count must not meet the schema; where there is none, it does not matter.
   */
  private counted(counts: readonly number[], schema: All): { counts: number[]; schema: All }[] {
    let options = [{ counts: [] as number[], schema }];
    for (const [i, { schema: counting, min, max }] of this.conditions.contains.entries()) {
      const hasMost = max !== Number.POSITIVE_INFINITY;
      options = options.flatMap((option) => {
        const add = (count: number, ...more: All[]) => ({
          counts: [...option.counts, count],
          schema: allOf(option.schema, ...more),
        });
        const rest =
          counting.length === 0 ? [{ node: this.writer.document.never, isNegated: false }] : negated(counting);
        const isOpen = hasMost ? counts[i] < max : counts[i] < min;
        return [
          ...(isOpen ? [add(counts[i] + 1, counting)] : []),
          ...(hasMost ? rest.map((literal) => add(counts[i], [literal])) : [add(counts[i])]),
        ];
      });
    }
    return options;
  }
}

/** Schemas any of which holds where not all of some do. */
const negated = (schemas: All): All => schemas.map(({ node, isNegated }) => ({ node, isNegated: !isNegated }));
