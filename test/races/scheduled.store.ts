import { StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import type { CacheStore, StoreListener } from '../../src/stores/contract/cache-store.js';

/** Holds a step back until the schedule lets it happen. */
export type Delay = () => Promise<unknown>;

/** A removal, of whatever kind, leaves nothing that was read before; a value may be an old one that is only marked as stale. */
export type Change = 'value' | 'removal';

/**
 * A store at the other end of a network: every request, every reply and every report takes its own time. Reports of one process arrive
 * in order (they share a connection), but anyhow relative to replies.
 * While the link is cut, requests and replies are lost: what was asked may have been done all the same.
 * @param applied told when a change is about to take effect
 * @param heard told when a report has been delivered, with what had been applied when it was sent
 */
export function scheduledStore(
  inner: CacheStore,
  delay: Delay,
  world: {
    applied: (change: Change) => void;
    lastApplied: () => number;
    heard: (version: number) => void;
    isCut: () => boolean;
    /** Whether the token says so already: then nothing goes. */
    says: (name: string, stamp: string) => boolean;
  },
): CacheStore {
  let line: Promise<unknown> = Promise.resolve();
  const check = (): void => {
    if (world.isCut()) throw new StoreUnavailableError(inner.name, 'any', 'connection');
  };
  const through = async <T>(effect: () => Promise<T>, change?: Change, isVain?: () => boolean): Promise<T> => {
    await delay();
    check();
    if (change && !isVain?.()) world.applied(change);
    const result = await effect();
    await delay();
    check();
    return result;
  };
  const report = (listener: StoreListener, tell: (listener: StoreListener) => void): void => {
    const version = world.lastApplied();
    line = line.then(delay).then(() => {
      tell(listener);
      world.heard(version);
    });
  };
  return {
    name: inner.name,
    capabilities: inner.capabilities,
    open: (listener) =>
      inner.open({
        changed: (keys) => report(listener, (to) => to.changed(keys)),
        updated: (key, frame, at, forMs) => report(listener, (to) => to.updated(key, frame, at, forMs)),
        flushed: () => report(listener, (to) => to.flushed()),
        released: (keys) => report(listener, (to) => to.released(keys)),
        rotated: (names) => report(listener, (to) => to.rotated(names)),
        heard: () => listener.heard(),
        lost: () => listener.lost(),
      }),
    read: (keys) => through(() => inner.read(keys)),
    acquire: (key, request) => through(() => inner.acquire(key, request)),
    renew: (key, token, leaseMs) => through(() => inner.renew(key, token, leaseMs)),
    fill: (key, token, frame, ttlMs) => through(() => inner.fill(key, token, frame, ttlMs)),
    release: (key, token) => through(() => inner.release(key, token)),
    write: (key, frame, ttlMs, condition) => through(() => inner.write(key, frame, ttlMs, condition), 'value'),
    remove: (keys) => through(() => inner.remove(keys), 'removal'),
    tokens: (names) => through(() => inner.tokens(names)),
    rotate: (names, soft) => through(() => inner.rotate(names, soft), soft ? undefined : 'removal'),
    stamp: (name, stamp, graceMs) =>
      through(
        () => inner.stamp(name, stamp, graceMs),
        graceMs === 0 ? 'removal' : undefined,
        () => world.says(name, stamp),
      ),
    now: async () => {
      check();
      return inner.now();
    },
    close: () => inner.close(),
  };
}
