import type { CacheEngine } from '../cache-engine.js';
import type { WhenDown } from '../cache.options.js';
import { encodeFrame, type FrameFields } from '../envelope/frame.js';
import { CacheUsageError, StoreUnavailableError } from '../errors/cache.error.js';
import type { Reading } from '../flights/remote.reader.js';
import type { LoadPlan } from '../freshness/load-plan.js';
import { livesOf, type Lives } from '../freshness/lives.js';
import type { Address } from '../keys/address.js';
import type { Namespace } from '../namespace.js';
import type { WaitBudget } from '../outage/store-guard.js';
import type { Found } from '../tiers/found.js';
import type { NearTiers } from '../tiers/near-tiers.js';
import { epochsOf, type Epoch } from '../tokens/epoch.js';

import { MAX_ATTEMPTS, type EntryWriter } from './entry-writer.js';
import type { Invalidations } from './invalidations.js';

type FrameLives = Pick<FrameFields, 'freshUntil' | 'expiresAt' | 'isHeldOver'>;

/** Reads an entry, changes it and writes it back, unless it was changed meanwhile; then tries again. */
export class EntryUpdates {
  /** Updates of one key by this process happen in turn. */
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
    private readonly near: NearTiers,
    private readonly writer: EntryWriter,
    private readonly invalidations: Invalidations,
  ) {}

  async touch(address: Address, ttlMs: number): Promise<boolean> {
    return this.rewrite(address, ({ freshUntil, expiresAt: end, isHeldOver }, now) => {
      const expiresAt = now + ttlMs;
      // An entry without a soft lifetime of its own stays fresh to its new end; one whose refresh has failed is not fresh, only left alone.
      const isFreshToTheEnd = freshUntil === end && !isHeldOver;
      return { expiresAt, freshUntil: isFreshToTheEnd ? expiresAt : Math.min(freshUntil, expiresAt), isHeldOver };
    });
  }

  /** An expiry that cannot be sent is queued as a removal: the entry would have to be read first. */
  async expire(address: Address, whenDown?: WhenDown): Promise<boolean> {
    const isKnown = this.space.index.has(address.local);
    try {
      // Not until now: another process may read the store's clock a little behind us and find it fresh.
      const didExpire = await this.rewrite(address, ({ expiresAt }) => ({
        expiresAt,
        freshUntil: 0,
        isHeldOver: false,
      }));
      // Nothing to keep, but a loader under way may be about to store what it read before.
      if (!didExpire) await this.invalidations.remove([address], whenDown);
      return didExpire;
    } catch (error) {
      this.invalidations.checkQueues(error, whenDown);
      this.invalidations.queueRemoval([address]);
      this.near.forget([address]);
      return isKnown;
    }
  }

  async increment(address: Address, by: number, initial: number, plan: LoadPlan): Promise<number> {
    for (const [field, number] of Object.entries({ by, initial })) {
      if (!Number.isFinite(number))
        throw new CacheUsageError('invalid_option', `${field} must be a finite number; got a ${typeof number}`);
    }
    if (this.engine.passThrough) return initial + by;
    return this.inTurn(address.store, async () => {
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
        const budget = this.engine.guard.budget();
        const { reading, epochs } = await this.look(address, plan.tags, budget);
        const current = reading.found ? reading.found.value.take() : initial;
        if (typeof current !== 'number') {
          throw new CacheUsageError(
            'not_a_number',
            `increment of key "${address.encoded}": the entry holds a ${typeof current}; delete it or use another key`,
          );
        }
        const sum = current + by;
        if (!isExact(sum)) {
          throw new CacheUsageError(
            'not_a_number',
            `increment of key "${address.encoded}": the sum is more than a number can tell from the next`,
          );
        }
        const lives = reading.found ? this.remainingOf(reading.found) : livesOf(plan, sum);
        const encoded = this.engine.entries.encode(this.space, sum);
        const outcome = await this.writer
          .write(
            address,
            encoded,
            reading.found ? epochsOf(reading.found.fence) : epochs,
            lives,
            { absent: !reading.found, seen: reading.frame },
            budget,
          )
          // Whoever has read meanwhile may have found the number of before.
          .finally(() => this.near.forget([address]));
        if (outcome.written) return sum;
      }
      throw new StoreUnavailableError('cache', 'increment', 'refused', 'too much contention');
    });
  }

  /** Replaces an entry's lives, keeping its value, unless it is changed meanwhile; then tries again. */
  private async rewrite(
    address: Address,
    change: (lives: FrameLives, storeNow: number) => FrameLives,
  ): Promise<boolean> {
    if (this.engine.passThrough) return false;
    return this.inTurn(address.store, async () => {
      this.near.forget([address]);
      try {
        for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
          const budget = this.engine.guard.budget();
          const [reading] = await this.engine.reader.read(this.space, [address], budget);
          const frame =
            reading?.frame && reading.found ? this.engine.entries.parse(this.space, address, reading.frame) : undefined;
          if (frame === undefined) return false;
          const now = this.engine.storeClock.now();
          const lives = change(frame, now);
          const bytes = encodeFrame(frame.with(lives));
          const ttlMs = lives.expiresAt - now;
          if (ttlMs <= 0) return (await this.invalidations.remove([address])) > 0;
          const outcome = await this.engine.guard.run('write', budget, (store) =>
            store.write(address.store, bytes, ttlMs, { seen: frame.bytes }),
          );
          if (outcome.written) return true;
        }
        return false;
      } finally {
        this.near.forget([address]);
      }
    });
  }

  private async look(
    address: Address,
    tags: readonly string[],
    budget: WaitBudget,
  ): Promise<{ reading: Reading; epochs: Epoch[] }> {
    this.near.forget([address]);
    const [reading] = await this.engine.reader.read(this.space, [address], budget);
    this.near.forget([address]);
    return {
      reading: reading as Reading,
      epochs: await this.engine.tokens.read(this.space.tokenNames(address.encoded, tags), budget),
    };
  }

  private remainingOf(found: Found): Lives {
    const now = this.engine.clock.now();
    return { ttlMs: found.expiresAt - now, freshForMs: found.freshUntil - now };
  }

  private async inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.turns.get(key);
    const turn = (async () => {
      await before?.catch(() => undefined);
      return work();
    })();
    this.turns.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.turns.get(key) === turn) this.turns.delete(key);
    }
  }
}

function isExact(sum: number): boolean {
  return Math.abs(sum) <= Number.MAX_SAFE_INTEGER;
}
