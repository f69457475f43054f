import { requireWithin } from "./limits.ts";

/** Work that is done a few milliseconds at a time: whoever goes on with it may give others a turn in between. */
export type Steps<T> = Generator<void, T, void>;

/** Places that are looked at in a step: some milliseconds. */
const PLACES_OF_A_STEP = 2048;
/** Nodes of a tree of tokens that take as long as a place. */
const NODES_OF_A_PLACE = 64;

/** Does all the work at once. */
export function allSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Measures the work for one mask. */
export class WorkMeter {
  private places = 0;
  private due = PLACES_OF_A_STEP;

  /** @throws OptionError beyond the limit `maskPlaces` */
  addPlaces(count: number): void {
    this.places += count;
    requireWithin("maskPlaces", this.places, "a grammar", "places looked at to find the tokens that may follow");
  }

  addNodes(count: number): void {
    this.addPlaces(count / NODES_OF_A_PLACE);
  }

  /** Whether a step is over, which then the next one is not. */
  endsStep(): boolean {
    if (this.places < this.due) return false;
    this.due = this.places + PLACES_OF_A_STEP;
    return true;
  }
}
