import type { WriteCondition, WriteOutcome } from '../stores/contract/cache-store.js';
import type { CacheKey } from './cache.options.js';
import type { CacheEngine } from './cache-engine.js';
import type { EncodedValue } from './codec/value.codec.js';
import { encodeFrame } from './envelope/frame.js';
import { CacheUsageError, StoreUnavailableError } from './errors/cache.error.js';
import { checkTags, type LoadPlan } from './freshness/load-plan.js';
import { livesOf, type Lives } from './freshness/lives.js';
import type { Reading } from './flights/remote.reader.js';
import type { Address } from './keys/address.js';
import { encodeKey } from './keys/key-encoding.js';
import type { Namespace } from './namespace.js';
import { tagToken } from './namespace.js';
import type { WaitBudget } from './outage/store-guard.js';
import type { Found } from './tiers/found.js';
import { forget, remember } from './tiers/request.tier.js';
import type { Epoch } from './tokens/epoch.js';

/** Compare-and-set is repeated while others write the same key; so many times in a row means something is badly wrong. */
const MAX_ATTEMPTS = 200;

/**
 * Writes and invalidations. Each forgets the key here before the store is told (nobody may join an older flight) and again when the
 * store has acknowledged it (somebody may have read the old value in between).
 */
export class EntryWriter {
  /** Read-modify-write of one key by this process happens in turn. */
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
  ) {}

  async set(address: Address, value: unknown, plan: LoadPlan): Promise<boolean> {
    const encoded = this.engine.entries.encode(this.space, value);
    if (this.engine.passThrough) return false;
    const lives = livesOf(plan, value);
    if (lives.ttlMs <= 0) {
      await this.remove([address]);
      return false;
    }
    return this.shared(address, tagsOf(plan, value), lives, encoded, undefined);
  }

  async add(address: Address, value: unknown, plan: LoadPlan): Promise<boolean> {
    const encoded = this.engine.entries.encode(this.space, value);
    const lives = livesOf(plan, value);
    if (this.engine.passThrough || lives.ttlMs <= 0) return false;
    return this.shared(address, tagsOf(plan, value), lives, encoded, { absent: true });
  }

  async touch(address: Address, ttlMs: number): Promise<boolean> {
    return this.rewrite(address, (lives, now) => {
      const expiresAt = now + ttlMs;
      // An entry without a soft lifetime of its own stays fresh to its new end.
      return {
        expiresAt,
        freshUntil: lives.freshUntil === lives.expiresAt ? expiresAt : Math.min(lives.freshUntil, expiresAt),
      };
    });
  }

  async expire(address: Address): Promise<boolean> {
    const didExpire = await this.rewrite(address, (lives, now) => ({
      ...lives,
      freshUntil: Math.min(lives.freshUntil, now),
    }));
    // Nothing to keep, but a loader under way may be about to store what it read before.
    if (!didExpire) await this.remove([address]);
    return didExpire;
  }

  async remove(addresses: readonly Address[]): Promise<number> {
    if (this.engine.passThrough || addresses.length === 0) return 0;
    this.forget(addresses);
    try {
      return await this.engine.guard.run('remove', this.engine.guard.budget(), (store) =>
        store.remove(addresses.map((address) => address.store)),
      );
    } finally {
      this.forget(addresses);
    }
  }

  async increment(address: Address, by: number, initial: number, plan: LoadPlan): Promise<number> {
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
        const lives = reading.found ? this.remainingOf(reading.found) : livesOf(plan, current + by);
        const encoded = this.engine.entries.encode(this.space, current + by);
        const outcome = await this.write(
          address,
          encoded,
          reading.found ? epochsOf(reading.found) : epochs,
          lives,
          { absent: !reading.found, seen: reading.frame },
          budget,
        );
        if (outcome.written) return current + by;
      }
      throw new StoreUnavailableError('cache', 'increment', 'refused', 'too much contention');
    });
  }

  async invalidateTags(tags: readonly string[]): Promise<void> {
    await this.rotate(tags.map(tagToken));
  }

  async invalidatePrefix(prefix: CacheKey): Promise<void> {
    const encoded = encodeKey(prefix);
    const declared = this.space.prefixes.find((candidate) => candidate.encoded === encoded);
    if (!declared) {
      throw new CacheUsageError(
        'undeclared_prefix',
        `prefix "${encoded}" is not declared: add it to the "prefixes" of namespace "${this.space.name}"`,
      );
    }
    await this.rotate([declared.token]);
  }

  async clear(): Promise<void> {
    await this.rotate([this.space.token]);
    this.engine.memory?.removeAll(this.space.index);
    this.engine.requestScope?.()?.entries.delete(this.space.name);
  }

  private async rotate(names: readonly string[]): Promise<void> {
    if (this.engine.passThrough || names.length === 0) return;
    const { tokens, coherence, guard } = this.engine;
    tokens.doubt(names);
    coherence.detachAll();
    const adopt = tokens.replace(names);
    try {
      adopt(await guard.run('rotate', guard.budget(), (store) => store.rotate(names)));
    } finally {
      coherence.detachAll();
    }
  }

  /** Writes to the store, then to the near tiers. A failing store makes it local and short-lived. */
  private async shared(
    address: Address,
    tags: readonly string[],
    lives: Lives,
    encoded: EncodedValue,
    condition: WriteCondition | undefined,
  ): Promise<boolean> {
    const { engine } = this;
    const budget = engine.guard.budget();
    const names = this.space.tokenNames(address.encoded, tags);
    if (!condition) this.forget([address]);
    const moment = engine.watch.begin();
    let found: Found | undefined;
    let isShared = false;
    try {
      await engine.reader.ready(budget);
      const epochs = await engine.tokens.read(names, budget);
      isShared = await this.writeUnlessAlive(address, encoded, epochs, lives, condition, budget);
      if (isShared) found = engine.entries.loaded(this.space, encoded, epochs, lives);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      this.space.counters.storeFailures++;
      if (!condition) found = engine.entries.loaded(this.space, encoded, engine.tokens.provisional(names), lives);
    } finally {
      const disturbed = engine.watch.isReported(address.store, moment);
      engine.watch.end();
      if (found) {
        this.forget([address]);
        if (!disturbed) engine.memory?.insert(this.space.index, address.local, found, !isShared);
        const scope = engine.requestScope?.();
        if (scope) remember(scope, this.space.name, address.local, found);
      }
    }
    return isShared;
  }

  /** `add` must not be refused by an entry that is there physically but void or expired. */
  private async writeUnlessAlive(
    address: Address,
    encoded: EncodedValue,
    epochs: readonly Epoch[],
    lives: Lives,
    condition: WriteCondition | undefined,
    budget: WaitBudget,
  ): Promise<boolean> {
    let current = condition;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const outcome = await this.write(address, encoded, epochs, lives, current, budget);
      if (outcome.written) return true;
      const reading = await this.engine.reader.judge(this.space, address, outcome.frame, budget);
      if (reading.found) return false;
      current = { absent: true, seen: outcome.frame };
    }
    return false;
  }

  private write(
    address: Address,
    encoded: EncodedValue,
    epochs: readonly Epoch[],
    lives: Lives,
    condition: WriteCondition | undefined,
    budget: WaitBudget,
  ): Promise<WriteOutcome> {
    const frame = this.engine.entries.frame(this.space, address, encoded, epochs, lives);
    return this.engine.guard.run('write', budget, (store) => store.write(address.store, frame, lives.ttlMs, condition));
  }

  /** Replaces an entry's lives, keeping its value, unless it is changed meanwhile; then tries again. */
  private async rewrite(
    address: Address,
    change: (
      lives: { freshUntil: number; expiresAt: number },
      storeNow: number,
    ) => { freshUntil: number; expiresAt: number },
  ): Promise<boolean> {
    if (this.engine.passThrough) return false;
    return this.inTurn(address.store, async () => {
      this.forget([address]);
      try {
        for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
          const budget = this.engine.guard.budget();
          const [reading] = await this.engine.reader.read(this.space, [address], budget);
          const frame =
            reading?.frame && reading.found ? this.engine.entries.parse(this.space, address, reading.frame) : undefined;
          if (frame === undefined) return false;
          const now = this.engine.storeClock.now();
          const lives = change({ freshUntil: frame.freshUntil, expiresAt: frame.expiresAt }, now);
          const bytes = encodeFrame(frame.with({ ...lives, isHeldOver: false }));
          const ttlMs = lives.expiresAt - now;
          if (ttlMs <= 0) return (await this.remove([address])) > 0;
          const outcome = await this.engine.guard.run('write', budget, (store) =>
            store.write(address.store, bytes, ttlMs, { seen: frame.bytes }),
          );
          if (outcome.written) return true;
        }
        return false;
      } finally {
        this.forget([address]);
      }
    });
  }

  private async look(
    address: Address,
    tags: readonly string[],
    budget: WaitBudget,
  ): Promise<{ reading: Reading; epochs: Epoch[] }> {
    this.forget([address]);
    const [reading] = await this.engine.reader.read(this.space, [address], budget);
    this.forget([address]);
    return {
      reading: reading as Reading,
      epochs: await this.engine.tokens.read(this.space.tokenNames(address.encoded, tags), budget),
    };
  }

  private remainingOf(found: Found): Lives {
    const now = this.engine.clock.now();
    return { ttlMs: found.expiresAt - now, freshForMs: found.freshUntil - now };
  }

  private forget(addresses: readonly Address[]): void {
    const scope = this.engine.requestScope?.();
    for (const address of addresses) {
      this.engine.coherence.forget(this.space, address.local, address.store);
      if (scope) forget(scope, this.space.name, address.local);
    }
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

function tagsOf(plan: LoadPlan, value: unknown): readonly string[] {
  return plan.tagsOf ? [...plan.tags, ...checkTags(plan.tagsOf(value), 'tags()')] : plan.tags;
}

function epochsOf(found: Found): Epoch[] {
  return [found.fence.first, ...(found.fence.rest ?? [])];
}
