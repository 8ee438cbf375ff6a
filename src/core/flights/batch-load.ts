/**
 * Lets several flights share one loader call: it runs as soon as every flight has either asked for its id or turned out not to need it
 * (found, or being computed elsewhere).
 */
export class BatchLoad<I, T> {
  private readonly undecided: Set<I>;
  private asked: I[] = [];
  private answers: Array<{ id: I; resolve: (value: T) => void; reject: (error: unknown) => void }> = [];

  constructor(
    ids: Iterable<I>,
    private readonly loadMany: (missing: I[]) => Promise<ReadonlyMap<I, T>>,
  ) {
    this.undecided = new Set(ids);
  }

  /** The loaded value. @throws NotLoaded if the loader left the id out */
  load(id: I): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.asked.push(id);
      this.answers.push({ id, resolve, reject });
      this.undecided.delete(id);
      this.dispatchIfComplete();
    });
  }

  /** This id will not be asked for, or not now. */
  pass(id: I): void {
    if (this.undecided.delete(id)) this.dispatchIfComplete();
  }

  private dispatchIfComplete(): void {
    if (this.undecided.size > 0 || this.asked.length === 0) return;
    const { asked, answers } = this;
    this.asked = [];
    this.answers = [];
    this.loadMany(asked).then(
      (loaded) => {
        for (const { id, resolve, reject } of answers) {
          if (loaded.has(id)) resolve(loaded.get(id) as T);
          else reject(new NotLoaded());
        }
      },
      (error: unknown) => {
        for (const { reject } of answers) reject(error);
      },
    );
  }
}

/** The many-loader did not return this id. Internal: the result of getOrSetMany simply lacks it. */
export class NotLoaded extends Error {}
