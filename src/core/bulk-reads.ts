import type { CacheEngine } from './cache-engine.js';
import type { CacheKey, CallOptions, Loaded, ManyLoader } from './cache.options.js';
import { CachedResponse } from './cached-response.js';
import { StoreUnavailableError } from './errors/cache.error.js';
import { BatchLoad, NotLoaded } from './flights/batch-load.js';
import { coldError } from './flights/cold-error.js';
import { planOf, PlannedOptions } from './freshness/load-plan.js';
import type { Address } from './keys/address.js';
import { addressOf, isPlain } from './keys/address.js';
import { encodeKey } from './keys/key-encoding.js';
import type { LoadingReads } from './loading-reads.js';
import type { Namespace } from './namespace.js';
import { MOST_ENTRIES, portionsOf } from './portions.js';
import type { Found } from './tiers/found.js';
import { MISS } from './tiers/memory.tier.js';
import type { NearTiers } from './tiers/near-tiers.js';
import type { RequestScope } from './tiers/request.scope.js';
import { rememberRead } from './tiers/request.tier.js';

/** A key whose answer must be asked for, and its place in the result. */
interface Missing {
  readonly at: number;
  readonly address: Address;
}

/** Reads of many keys of one namespace at once. */
export class BulkReads {
  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
    private readonly near: NearTiers,
    private readonly loading: LoadingReads,
  ) {}

  async get<T>(key: CacheKey): Promise<CachedResponse<T>> {
    return (await this.getMany<T>([key]))[0] as CachedResponse<T>;
  }

  /** What {@link get} would answer at once, if anything. */
  hit<T>(key: CacheKey): CachedResponse<T> | undefined {
    return this.engine.requestScope?.() === undefined ? this.fresh<T>(key, this.engine.clock.now()) : undefined;
  }

  async getMany<T>(keys: readonly CacheKey[]): Promise<Array<CachedResponse<T>>> {
    const scope = this.engine.requestScope?.();
    const now = this.engine.clock.now();
    const responses: Array<CachedResponse<T>> = [];
    const missing: Missing[] = [];
    for (const key of keys) {
      const hit = scope === undefined ? this.fresh<T>(key, now) : undefined;
      if (hit !== undefined) {
        responses.push(hit);
        continue;
      }
      const address = addressOf(this.space, key);
      const found = this.near.find(address, scope);
      if (found === undefined || now >= found.freshUntil) missing.push({ at: responses.length, address });
      responses.push(responseTo(address, found, now));
    }
    if (missing.length > 0 && !scope?.forced && !this.engine.passThrough)
      await this.readRemote(missing, responses, scope);
    return responses;
  }

  /** {@link CacheService.getManyShared} */
  async getManyShared<T>(keys: readonly CacheKey[]): Promise<Array<CachedResponse<T>>> {
    const { engine, space } = this;
    const addresses = keys.map((key) => addressOf(space, key));
    if (engine.passThrough || keys.length === 0) return addresses.map(({ encoded }) => CachedResponse.miss<T>(encoded));
    const readings = await engine.reader.read(space, addresses, engine.guard.budget());
    const now = engine.clock.now();
    return addresses.map((address, i) => {
      const found = readings[i]?.found;
      space.counters[found ? 'remoteHits' : 'misses']++;
      return responseTo(address, found, now);
    });
  }

  /** {@link CacheService.getOrSetMany} */
  async getOrSetMany<I extends string | number, T>(
    ids: Iterable<I>,
    loader: ManyLoader<I, T>,
    keyOf: (id: I) => CacheKey,
    options: CallOptions<T>,
  ): Promise<Map<I, T>> {
    const asked = [...new Set(ids)];
    if (asked.length === 0) return new Map();
    if (this.engine.passThrough) return this.loadUncached(asked, loader, options);
    // An id whose caller was given a stale value is still to be loaded: it is out of the batch when its flight has landed.
    const { slots, plan } = this.space;
    const batch = new BatchLoad<I, T>(asked, (missing) => {
      const work = async (): Promise<ReadonlyMap<I, T>> => toMap(await loader(missing));
      return slots
        ? slots.run(plan.waitBudgetMs, () => coldError(this.space, '(many keys)', plan.leaseMs), work)
        : work();
    });
    const call = async (id: I): Promise<T> => {
      const pass = (): void => batch.pass(id);
      try {
        return (await this.loading.entry(keyOf(id), () => batch.load(id), options, pass)).value.take() as T;
      } catch (error) {
        pass();
        throw error;
      }
    };
    const calls: Array<Promise<Array<PromiseSettledResult<T>>>> = [];
    for (const ids of portionsOf(asked, MOST_ENTRIES)) {
      calls.push(Promise.allSettled(ids.map(call)));
      if (ids.length < asked.length) await batch.decided(ids);
    }
    const outcomes = (await Promise.all(calls)).flat();
    const result = new Map<I, T>();
    outcomes.forEach((outcome, i) => {
      if (outcome.status === 'fulfilled') result.set(asked[i] as I, outcome.value);
      else if (!(outcome.reason instanceof NotLoaded)) throw outcome.reason;
    });
    return result;
  }

  private async loadUncached<I extends string | number, T>(
    asked: I[],
    loader: ManyLoader<I, T>,
    options: CallOptions<T>,
  ): Promise<Map<I, T>> {
    const plan = planOf(this.space, options);
    // What the options say of values is not said of all of them together.
    const whole = { ...plan, shouldCache: () => false };
    const call = new PlannedOptions(whole, false, options.signal);
    return inOrder(asked, await this.loading.value('(many keys)', async () => toMap(await loader(asked)), call));
  }

  /** As in getOrSet, a plain key is looked up as it is before anything is built for it; for a value that is shared, nothing is but the answer. */
  private fresh<T>(key: CacheKey, now: number): CachedResponse<T> | undefined {
    const { memory } = this.engine;
    if (memory === undefined || typeof key !== 'string' || !isPlain(key)) return undefined;
    const slot = this.space.index.get(key);
    if (slot === undefined) return undefined;
    const value = memory.shared(slot, now);
    const found = value === MISS ? memory.find(slot) : undefined;
    if (value === MISS && (found === undefined || now >= found.freshUntil)) return undefined;
    this.space.counters.memoryHits++;
    const encoded = encodeKey(key);
    return found
      ? CachedResponse.found(encoded, found, now)
      : CachedResponse.shared(encoded, value, memory.ageMs(slot, now));
  }

  /** What the store does not answer stays as the near tiers have it. */
  private async readRemote<T>(
    missing: readonly Missing[],
    responses: Array<CachedResponse<T>>,
    scope: RequestScope | undefined,
  ): Promise<void> {
    const { engine, space } = this;
    const addresses = missing.map(({ address }) => address);
    const changes = scope?.changes;
    try {
      const readings = await engine.reader.read(space, addresses, engine.guard.budget());
      const now = engine.clock.now();
      missing.forEach(({ at, address }, i) => {
        const found = readings[i]?.found;
        responses[at] = responseTo(address, found, now);
        if (found === undefined) space.counters.misses++;
        else space.counters.remoteHits++;
        if (found && scope) rememberRead(scope, space, address.local, found, changes);
      });
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      space.counters.storeFailures++;
    }
  }
}

function responseTo<T>(address: Address, found: Found | undefined, now: number): CachedResponse<T> {
  return found ? CachedResponse.found<T>(address.encoded, found, now) : CachedResponse.miss<T>(address.encoded);
}

function toMap<I, T>(loaded: Loaded<I, T>): ReadonlyMap<I, T> {
  return loaded instanceof Map ? (loaded as ReadonlyMap<I, T>) : new Map(loaded as Iterable<readonly [I, T]>);
}

function inOrder<I, T>(ids: readonly I[], loaded: ReadonlyMap<I, T>): Map<I, T> {
  return new Map(ids.filter((id) => loaded.has(id)).map((id) => [id, loaded.get(id) as T]));
}
