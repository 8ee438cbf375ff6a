import type { StoreListener } from '../stores/contract/cache-store.js';

type Event = keyof StoreListener;

/** Remembers what a store reported, and lets a test wait for it. */
export class RecordingListener implements StoreListener {
  readonly #counts = new Map<Event, number>();
  readonly #names = new Map<Event, string[]>();
  readonly #waiting = new Set<() => void>();
  /** The frames that updates came with. */
  readonly frames = new Map<string, Uint8Array>();

  changed = (keys: readonly string[]): void => this.#note('changed', keys);
  /** Counts as `changed`, too. */
  updated = (key: string, frame: Uint8Array): void => {
    this.frames.set(key, Uint8Array.from(frame));
    this.#note('updated', [key]);
    this.changed([key]);
  };
  flushed = (): void => this.#note('flushed');
  released = (keys: readonly string[]): void => this.#note('released', keys);
  rotated = (names: readonly string[]): void => this.#note('rotated', names);
  heard = (): void => this.#note('heard');
  lost = (): void => this.#note('lost');

  /** How often it was called. */
  count(event: Event): number {
    return this.#counts.get(event) ?? 0;
  }

  /** All keys or names it was called with. */
  names(event: Event): readonly string[] {
    return this.#names.get(event) ?? [];
  }

  /** Forgets everything so far. */
  clear(): void {
    this.#counts.clear();
    this.#names.clear();
    this.frames.clear();
  }

  /**
   * Resolves when the event has come (for `name`, if given), perhaps before this call.
   * @throws Error after `timeoutMs` (default 5000)
   */
  until(event: Event, name?: string, timeoutMs = 5000): Promise<void> {
    const come = (): boolean => (name === undefined ? this.count(event) > 0 : this.names(event).includes(name));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`the store did not report "${event}"${name === undefined ? '' : ` of ${name}`}`));
      }, timeoutMs);
      const look = (): void => {
        if (!come()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  #note(event: Event, names: readonly string[] = []): void {
    this.#counts.set(event, this.count(event) + 1);
    this.#names.set(event, [...this.names(event), ...names]);
    for (const look of this.#waiting) look();
  }
}
