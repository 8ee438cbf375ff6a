import type { CacheStore } from '../../stores/contract/cache-store.js';
import type { Clock } from '../clock/clock.js';
import { StoreUnavailableError } from '../errors/cache.error.js';
import { MOST_NAMES, portionsOf } from '../portions.js';
import { APPLICATION_STAMP } from '../tokens/token-parts.js';

/**
 * Keys that wait at most; then the token of a namespace takes the place of its keys. The same bound holds for tokens; in place of these the
 * application's stamp is replaced, for tags are of all namespaces, also of those that only other processes have.
 */
export const MAX_PENDING = 10_000;
/** Between two attempts. */
const RETRY_MS = 100;

/** What the queue needs of its surroundings. */
export interface QueueEnds {
  /** Runs one operation on the store itself, within a deadline. @throws StoreUnavailableError */
  send<T>(operation: string, call: (store: CacheStore) => Promise<T>): Promise<T>;
  /** The store has taken these in. */
  removed(keys: readonly string[]): void;
  rotated(names: readonly string[]): void;
  /** What waited has become part of what this token is about: nothing that is known of that holds any more. */
  widened(name: string): void;
}

/** How many invalidations wait for the store. */
export interface PendingCounts {
  readonly keys: number;
  readonly tokens: number;
}

/** A stamp that a token is to say. */
export interface AwaitedStamp {
  readonly stamp: string;
  /** When its grace ends, on this process's clock. */
  readonly graceUntil: number;
}

interface Waiting {
  /** Told apart from a later wish for the same, which an attempt under way may not cover. */
  readonly wish: number;
}

/**
 * Invalidations that the store has not acknowledged: each is sent again until it is, which does no harm if it had landed after all. They
 * commute, so one per key or token is enough and their order does not matter. While one waits, this process believes nothing that the store
 * says about it (see GatedStore). Bounded: too many keys of a namespace become its token, so that nothing is lost and only more is missed.
 */
export class InvalidationQueue {
  private readonly keys = new Map<string, Waiting & { readonly namespace: string }>();
  private readonly tokens = new Map<string, Waiting & { readonly soft: boolean }>();
  /** Few: of each namespace and of the application the newest alone is wished for. */
  private readonly stamps = new Map<string, Waiting & AwaitedStamp>();
  private wishes = 0;
  private retryAt = -Infinity;
  private flushing: Promise<boolean> | undefined;
  private cancelRetry: (() => void) | undefined;
  private isStopped = false;

  constructor(
    private readonly clock: Clock,
    private readonly ends: QueueEnds,
  ) {}

  get isEmpty(): boolean {
    return this.keys.size === 0 && this.tokens.size === 0 && this.stamps.size === 0;
  }

  get size(): PendingCounts {
    return { keys: this.keys.size, tokens: this.tokens.size + this.stamps.size };
  }

  holdsKey(key: string): boolean {
    return this.keys.has(key);
  }

  holdsToken(name: string): boolean {
    return this.tokens.has(name) || this.stamps.has(name);
  }

  /** @param namespace the name of the token that covers all of them */
  addKeys(namespace: string, keys: readonly string[]): void {
    for (const key of keys) {
      if (this.tokens.has(namespace)) {
        // Wished for anew: it may be on its way, and have been carried out before what is to be removed was stored.
        this.addToken(namespace, false);
        break;
      }
      this.keys.delete(key);
      if (this.keys.size >= MAX_PENDING) this.generalise(namespace);
      else this.keys.set(key, { namespace, wish: ++this.wishes });
    }
    this.scheduleRetry();
  }

  /** @param soft what carries them is to be stale, unless it is to be void already */
  addTokens(names: readonly string[], soft = false): void {
    for (const name of names) this.addToken(name, soft && this.tokens.get(name)?.soft !== false);
    if (this.tokens.size > MAX_PENDING) {
      this.tokens.clear();
      this.keys.clear();
      this.widen(APPLICATION_STAMP);
    }
    this.scheduleRetry();
  }

  /** In place of one that waits for the same token. */
  addStamp(name: string, { stamp, graceUntil }: AwaitedStamp): void {
    this.stamps.set(name, { wish: ++this.wishes, stamp, graceUntil });
    this.scheduleRetry();
  }

  /** To be awaited before the store is asked anything: one attempt, unless one has just failed. */
  async settle(): Promise<void> {
    if (!this.isEmpty && this.clock.now() >= this.retryAt) await this.flush();
  }

  /** Sends all that waits, once; whether nothing is left. Callers at the same time share one attempt. */
  flush(): Promise<boolean> {
    return (this.flushing ??= this.attempt().finally(() => (this.flushing = undefined)));
  }

  /** Sends all that waits, once, and not by an attempt that began earlier: half of that may have failed already. */
  async drain(): Promise<void> {
    await this.flushing;
    await this.flush();
  }

  stop(): void {
    this.isStopped = true;
    this.cancelRetry?.();
    this.cancelRetry = undefined;
  }

  /** The namespace's token in place of its keys. */
  private generalise(namespace: string): void {
    for (const [key, waiting] of this.keys) if (waiting.namespace === namespace) this.keys.delete(key);
    this.widen(namespace);
  }

  private widen(name: string): void {
    this.addToken(name, false);
    this.ends.widened(name);
  }

  private addToken(name: string, soft: boolean): void {
    this.tokens.set(name, { wish: ++this.wishes, soft });
  }

  /** A store that refuses some operations (out of memory) may accept others. */
  private async attempt(): Promise<boolean> {
    for (const part of portionsOf([...this.keys], MOST_NAMES)) {
      const names = part.map(([key]) => key);
      if (names.length === 0 || !(await this.try('remove', (store) => store.remove(names)))) break;
      done(this.keys, part);
      this.ends.removed(names);
    }
    for (const soft of [false, true]) {
      const tokens = [...this.tokens].filter(([, waiting]) => waiting.soft === soft);
      for (const part of portionsOf(tokens, MOST_NAMES)) {
        const names = part.map(([name]) => name);
        if (names.length === 0 || !(await this.try('rotate', (store) => store.rotate(names, soft)))) break;
        done(this.tokens, part);
        this.ends.rotated(names);
      }
    }
    for (const waiting of this.stamps) {
      const [name, { stamp, graceUntil }] = waiting;
      const graceMs = (): number => Math.max(0, graceUntil - this.clock.now());
      if (!(await this.try('stamp', (store) => store.stamp(name, stamp, graceMs())))) continue;
      done(this.stamps, [waiting]);
      this.ends.rotated([name]);
    }
    if (this.isEmpty) return true;
    this.retryAt = this.clock.now() + RETRY_MS;
    this.scheduleRetry();
    return false;
  }

  private async try(operation: string, call: (store: CacheStore) => Promise<unknown>): Promise<boolean> {
    try {
      await this.ends.send(operation, call);
      return true;
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      return false;
    }
  }

  private scheduleRetry(): void {
    if (this.cancelRetry || this.isStopped || this.isEmpty) return;
    this.cancelRetry = this.clock.after(RETRY_MS, () => {
      this.cancelRetry = undefined;
      void this.flush();
    });
  }
}

/** Takes out what was sent, unless it was wished for again meanwhile. */
function done<W extends Waiting>(waiting: Map<string, W>, sent: ReadonlyArray<readonly [string, W]>): void {
  for (const [name, { wish }] of sent) if (waiting.get(name)?.wish === wish) waiting.delete(name);
}
