import type { WriteCondition, WriteOutcome } from '../../stores/contract/cache-store.js';
import type { CacheEngine } from '../cache-engine.js';
import type { EncodedValue } from '../codec/value.codec.js';
import { StoreUnavailableError } from '../errors/cache.error.js';
import { checkTags, type LoadPlan } from '../freshness/load-plan.js';
import { livesOf, type Lives } from '../freshness/lives.js';
import type { Address } from '../keys/address.js';
import type { Namespace } from '../namespace.js';
import type { WaitBudget } from '../outage/store-guard.js';
import type { Found } from '../tiers/found.js';
import type { NearTiers } from '../tiers/near-tiers.js';
import { remember } from '../tiers/request.tier.js';
import type { Epoch } from '../tokens/epoch.js';
import type { Invalidations } from './invalidations.js';

/** Compare-and-set is repeated while others write the same key; so many times in a row means something is badly wrong. */
export const MAX_ATTEMPTS = 200;

/** Writes whole entries, to the store and then to the near tiers. */
export class EntryWriter {
  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
    private readonly near: NearTiers,
    private readonly invalidations: Invalidations,
  ) {}

  async set(address: Address, value: unknown, plan: LoadPlan): Promise<boolean> {
    const encoded = this.engine.entries.encode(this.space, value);
    if (this.engine.passThrough) return false;
    const lives = livesOf(plan, value);
    if (lives.ttlMs <= 0) {
      await this.invalidations.remove([address]);
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
    // Nearly always all is known. Then the command is on its way before anything else is done, in the same turn, by which nobody can tell.
    const writing = this.send(address, names, encoded, lives, condition, budget);
    if (!condition) this.near.forget([address]);
    const moment = engine.watch.begin();
    let found: Found | undefined;
    let isShared = false;
    try {
      const epochs = await writing;
      isShared = epochs !== undefined;
      if (epochs) found = engine.entries.loaded(this.space, encoded, epochs, lives);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      this.space.counters.storeFailures++;
      if (condition) return false;
      found = engine.entries.loaded(this.space, encoded, engine.tokens.provisional(names), lives);
      // What is there is not to be read any more.
      if (error.reason !== 'closed') this.invalidations.queueRemoval([address]);
    } finally {
      const disturbed = engine.watch.isReported(address.store, moment);
      engine.watch.end();
      if (found) {
        this.near.forget([address]);
        if (!disturbed) engine.memory?.insert(this.space.index, address.local, found, !isShared);
        const scope = engine.requestScope?.();
        if (scope) remember(scope, this.space, address.local, found);
      }
    }
    return isShared;
  }

  /** The epochs it was written under; `undefined`: it was not. */
  private async send(
    address: Address,
    names: readonly string[],
    encoded: EncodedValue,
    lives: Lives,
    condition: WriteCondition | undefined,
    budget: WaitBudget,
  ): Promise<readonly Epoch[] | undefined> {
    const { engine } = this;
    if (engine.storeClock.ready()) await engine.reader.ready(budget);
    const epochs = engine.tokens.known(names) ?? (await engine.tokens.read(names, budget));
    const isWritten = condition
      ? await this.writeUnlessAlive(address, encoded, epochs, lives, condition, budget)
      : (await this.write(address, encoded, epochs, lives, undefined, budget)).written;
    return isWritten ? epochs : undefined;
  }

  /** `add` must not be refused by an entry that is there physically but void or expired. */
  private async writeUnlessAlive(
    address: Address,
    encoded: EncodedValue,
    epochs: readonly Epoch[],
    lives: Lives,
    condition: WriteCondition,
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

  /** The store alone. */
  write(
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
}

function tagsOf(plan: LoadPlan, value: unknown): readonly string[] {
  return plan.tagsOf ? [...plan.tags, ...checkTags(plan.tagsOf(value), 'tags()')] : plan.tags;
}
