import { MOST_ENTRIES, portionsOf } from '../portions.js';

interface Answer<I, T> {
  readonly id: I;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** Who waits for the last of some ids to leave a set. */
interface Watch<I> {
  readonly left: Set<I>;
  readonly reached: () => void;
}

/**
 * Lets several flights share one loader call: it runs as soon as every flight has either asked for its id or turned out not to need it
 * (found, or being computed elsewhere).
 */
export class BatchLoad<I, T> {
  private readonly undecided: Set<I>;
  /** Asked for by flights that have not come to their end. */
  private readonly flying = new Set<I>();
  private readonly watches = new Set<Watch<I>>();
  private answers: Array<Answer<I, T>> = [];

  constructor(
    ids: Iterable<I>,
    private readonly loadMany: (missing: I[]) => Promise<ReadonlyMap<I, T>>,
  ) {
    this.undecided = new Set(ids);
  }

  /** The loaded value. @throws NotLoaded if the loader left the id out */
  load(id: I): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.answers.push({ id, resolve, reject });
      this.flying.add(id);
      this.undecided.delete(id);
      this.tell(id);
      this.dispatchIfComplete();
    });
  }

  /** This id will not be asked for, or not now; or its flight has landed. */
  pass(id: I): void {
    this.flying.delete(id);
    const isNews = this.undecided.delete(id);
    this.tell(id);
    if (isNews) this.dispatchIfComplete();
  }

  /** Resolves when each of these was asked for or passed, so that more may take off. */
  decided(ids: readonly I[]): Promise<void> {
    return this.leftBy(ids.filter((id) => this.undecided.has(id)));
  }

  private dispatchIfComplete(): void {
    if (this.undecided.size > 0 || this.answers.length === 0) return;
    const { answers } = this;
    this.answers = [];
    this.loadMany(answers.map(({ id }) => id)).then(
      (loaded) =>
        this.give(answers, ({ id, resolve, reject }) => {
          if (loaded.has(id)) resolve(loaded.get(id) as T);
          else reject(new NotLoaded());
        }),
      (error: unknown) => this.give(answers, ({ reject }) => reject(error)),
    );
  }

  /** What they are given they store: the next ones when these have. */
  private async give(answers: ReadonlyArray<Answer<I, T>>, give: (answer: Answer<I, T>) => void): Promise<void> {
    if (answers.length <= MOST_ENTRIES) return answers.forEach(give);
    for (const portion of portionsOf(answers, MOST_ENTRIES)) {
      const landed = this.leftBy(portion.map(({ id }) => id).filter((id) => this.flying.has(id)));
      portion.forEach(give);
      await landed;
    }
  }

  private leftBy(ids: readonly I[]): Promise<void> {
    if (ids.length === 0) return Promise.resolve();
    return new Promise((reached) => this.watches.add({ left: new Set(ids), reached }));
  }

  private tell(id: I): void {
    for (const watch of this.watches) {
      if (!watch.left.delete(id) || watch.left.size > 0) continue;
      this.watches.delete(watch);
      watch.reached();
    }
  }
}

/** The many-loader did not return this id. Internal: the result of getOrSetMany simply lacks it. */
export class NotLoaded extends Error {}
