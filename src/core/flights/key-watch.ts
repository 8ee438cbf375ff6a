/** Tells whether a key was reported as changed between two moments; keeps nothing about keys nobody watches. */
export class KeyWatch {
  private readonly watched = new Map<string, { watchers: number; reports: number }>();
  private everything = 0;

  /** The result answers whether the key has been reported since, once; then the watch is over. */
  begin(key: string): () => boolean {
    let state = this.watched.get(key);
    if (state === undefined) {
      state = { watchers: 0, reports: 0 };
      this.watched.set(key, state);
    }
    state.watchers++;
    const { reports } = state;
    const { everything } = this;
    const begun = state;
    return () => {
      if (--begun.watchers === 0) this.watched.delete(key);
      return begun.reports !== reports || this.everything !== everything;
    };
  }

  report(key: string): void {
    const state = this.watched.get(key);
    if (state) state.reports++;
  }

  reportAll(): void {
    this.everything++;
  }

  get size(): number {
    return this.watched.size;
  }
}
