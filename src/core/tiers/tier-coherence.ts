import type { StoreListener } from '../../stores/contract/cache-store.js';
import type { KeyWatch } from '../flights/key-watch.js';
import type { Sent, Waiters } from '../flights/waiters.js';
import { localOfStoreKey } from '../keys/address.js';
import type { Namespace } from '../namespace.js';
import type { TokenRegistry } from '../tokens/token-registry.js';
import type { Found } from './found.js';
import type { MemoryTier } from './memory.tier.js';

/** Judges what was reported with its value, without asking anybody. */
export interface ReportJudge {
  /** A moment of the store's time on this process's clock, no later than it can have been; `undefined` if that is not known. */
  momentOf(at: number): number | undefined;
  /** `undefined`: it is not sound, or that cannot be told. */
  judgeReported(namespace: Namespace, storeKey: string, frame: Uint8Array): Found | undefined;
}

/**
 * Keeps what this process remembers true to what the store reports. Every change does the same four things to a key: the memory entry
 * goes (or makes room for what came with the report), flights take no new callers, readings under way may not be remembered, and who
 * waits for the key looks again.
 */
export class TierCoherence implements StoreListener {
  /** Whether every change in the store reaches this process right now. */
  isHeard = false;

  constructor(
    private readonly namespaces: ReadonlyMap<string, Namespace>,
    private readonly memory: MemoryTier | undefined,
    private readonly tokens: TokenRegistry,
    private readonly watch: KeyWatch,
    private readonly waiters: Waiters,
    private readonly judge: ReportJudge,
    /** The store is connected anew; it may be another server. */
    private readonly connected: () => void,
    /** Until when may be served what is known now, when changes have gone unheard for so long. */
    private readonly servableUntil: (silentMs: number) => number,
  ) {}

  changed(keys: readonly string[]): void {
    for (const key of keys) this.tell(key, (namespace, local) => this.forget(namespace, local, key));
  }

  updated(key: string, frame: Uint8Array, at: number, forMs: number): void {
    this.tell(key, (namespace, local) => {
      const moment = this.judge.momentOf(at) ?? -Infinity;
      // A reply, or what this process did itself, may be ahead of the reports: only what is surely newer than all that takes its place.
      const isNews = this.memory?.isOlder(namespace.index, local, moment) === true;
      const isAwaited = this.waiters.has(key);
      // What nobody here has asked for need not be decoded.
      const found = isNews || isAwaited ? this.judge.judgeReported(namespace, key, frame) : undefined;
      namespace.failures.forget(local);
      if (isNews && found) this.memory?.insertReported(namespace.index, local, found, forMs);
      else this.memory?.remove(namespace.index, local);
      this.unsettle(namespace, local, key, isAwaited && found ? { found, moment } : undefined);
    });
  }

  released(keys: readonly string[]): void {
    // By a load that has failed, or whose result could not be stored: no reason to forget anything here.
    for (const key of keys) this.waiters.notify(key);
  }

  private tell(key: string, about: (namespace: Namespace, local: string) => void): void {
    // `<stamp>:<namespace>:{...}`
    const nameAt = key.indexOf(':') + 1;
    const namespace = this.namespaces.get(key.slice(nameAt, key.indexOf(':', nameAt)));
    const local = namespace && localOfStoreKey(namespace, key);
    if (namespace && local !== undefined) about(namespace, local);
  }

  rotated(names: readonly string[]): void {
    this.tokens.doubt(names);
    this.detachAll();
  }

  flushed(): void {
    this.forgetAll();
    this.waiters.notifyAll();
  }

  heard(): void {
    this.connected();
    this.forgetAll();
    this.memory?.reconnected();
    this.isHeard = true;
    this.waiters.notifyAll();
  }

  lost(silentMs = 0): void {
    if (this.isHeard) {
      const until = this.servableUntil(silentMs);
      for (const { flights } of this.namespaces.values()) flights.end(until);
    }
    this.isHeard = false;
    this.memory?.cutOff(silentMs);
    this.waiters.notifyAll();
  }

  /** One key was, or is about to be, changed. */
  forget(namespace: Namespace, local: string, storeKey: string): void {
    namespace.failures.forget(local);
    this.memory?.remove(namespace.index, local);
    this.unsettle(namespace, local, storeKey);
  }

  /** Whoever is at it here began too early; who waits is told, at best what there is now. */
  private unsettle(namespace: Namespace, local: string, storeKey: string, sent?: Sent): void {
    const flight = namespace.flights.get(local);
    if (flight) {
      flight.detached = true;
      namespace.flights.delete(local);
    }
    this.watch.report(storeKey);
    this.waiters.notify(storeKey, sent);
  }

  /** Tokens were replaced: nobody may join a flight that began under the old ones. */
  detachAll(): void {
    for (const namespace of this.namespaces.values()) {
      namespace.flights.detachAll();
      namespace.failures.clear();
    }
  }

  private forgetAll(): void {
    this.memory?.clear();
    this.tokens.doubtAll();
    this.detachAll();
    this.watch.reportAll();
  }
}
