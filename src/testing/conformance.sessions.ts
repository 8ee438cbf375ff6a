import { setTimeout as delay } from 'node:timers/promises';

/** One empty data set and the sessions on it; every test gets its own. */
export interface SubjectOf<Store> {
  /** A new session, as another process would have it; not opened yet. The suite closes it. */
  store(): Store;
  /** Moves the store's clock. Without it the suite waits for real (fractions of a second). */
  advance?(ms: number): void | Promise<void>;
  /** Loses all data without any session doing it, e.g. FLUSHALL. Without it, what depends on it is not tested. */
  flush?(): void | Promise<void>;
  close(): void | Promise<void>;
}

interface Session<Listener> {
  open(listener: Listener): void;
  close(): Promise<void>;
}

/** What a test body of any suite works with: sessions on one data set, its time and its loss. */
export abstract class Sessions<Listener, Store extends Session<Listener>> {
  readonly #opened: Store[] = [];

  constructor(private readonly subject: SubjectOf<Store>) {}

  async pass(ms: number): Promise<void> {
    if (this.subject.advance) await this.subject.advance(ms);
    else await delay(ms);
  }

  /** Whether the data could be lost. */
  async flush(): Promise<boolean> {
    await this.subject.flush?.();
    return this.subject.flush !== undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((store) => store.close()));
    await this.subject.close();
  }

  protected open(listener: Listener): Store {
    const store = this.subject.store();
    this.#opened.push(store);
    store.open(listener);
    return store;
  }
}
