import type { CacheKey, EntryOptions, KeyPart } from '../core/cache.options.js';
import type { CacheService } from '../core/cache.service.js';
import { CacheUsageError, StoreUnavailableError } from '../core/errors/cache.error.js';
import { encodeKey } from '../core/keys/key-encoding.js';
import type { StateCacheDefinition } from './define-state-cache.js';
import type {
  StateCacheCounters,
  StateEntry,
  StateInput,
  StateSchemas,
  StateValue,
  StateWrite,
  StateWriteOptions,
} from './state-cache.options.js';

/**
 * One entry for each state of a thing, of which the highest counts. Made by `defineStateCache()`.
 *
 * A lower state never comes back: a writer looks for higher states before and after it writes, removes the lower ones, and who reads a
 * lower entry beside a higher one removes it. All states live equally long, so what a writer that died half way left behind outlives the
 * higher state by no more than the time between its look and its write.
 */
export class StateCache<
  State extends string = string,
  Schemas extends StateSchemas<State> = StateSchemas<State>,
  Id extends KeyPart = KeyPart,
> {
  private readonly counters: StateCacheCounters = { mismatches: 0, refused: 0, overwritten: 0 };

  /** Use `definition.asProvider()` or `definition.on(cache)`. */
  constructor(
    private readonly definition: StateCacheDefinition<State, Schemas, Id>,
    private readonly cache: CacheService,
    private readonly entry: EntryOptions,
  ) {}

  /**
   * The highest state there is; one read for all of them. An entry that does not match the schema is removed, and a miss.
   * @throws CacheUsageError `invalid_key` for an id that is missing
   */
  async get(id: Id): Promise<StateEntry<State, Schemas> | undefined> {
    const keys = this.keysOf(id);
    const hits = await this.read(keys);
    const rank = hits.findIndex(({ isFound }) => isFound);
    if (rank < 0) return undefined;
    const state = this.definition.states[rank] as State;
    const value = await this.checked(id, rank, hits[rank]?.value);
    if (value === undefined) return undefined;
    if (hits.some(({ isFound }, i) => i > rank && isFound)) await this.removeQuietly(keys.slice(rank + 1));
    return { state, value: value.of } as StateEntry<State, Schemas>;
  }

  /** The entry of one state, whatever higher ones there are. @throws CacheUsageError `unknown_state` */
  async getState<S extends State>(id: Id, state: S): Promise<StateValue<S, Schemas> | undefined> {
    const rank = this.rankOf(state);
    const hit = await this.cache.get(this.keysOf(id)[rank] as CacheKey);
    const value = hit.isFound ? await this.checked(id, rank, hit.value) : undefined;
    return value?.of as StateValue<S, Schemas> | undefined;
  }

  /**
   * Stores a value in a state, unless a higher state stands. The value of the same state is replaced. A store that does not answer stores
   * nothing: what cannot be checked must not be seen.
   * @throws CacheUsageError `schema_mismatch` naming the fields, `id_mismatch`, `unknown_state`
   * @example const { isStored, state } = await payments.set(7, 'processing', payment); // { isStored: false, state: 'paid' }
   */
  async set<S extends State>(
    id: Id,
    state: S,
    value: StateInput<S, Schemas>,
    { overwrite }: StateWriteOptions = {},
  ): Promise<StateWrite<State>> {
    if (overwrite !== undefined && (typeof overwrite !== 'string' || overwrite.trim() === ''))
      throw new CacheUsageError('invalid_option', `overwrite must say why, in a string; got ${typeof overwrite}`);
    const { definition } = this;
    const rank = this.rankOf(state);
    const keys = this.keysOf(id);
    const made = await definition.schemas.forWriting(state, value);
    if (!this.isOf(id, made))
      throw new CacheUsageError(
        'id_mismatch',
        `state cache "${definition.name}": identify() tells another id from the value than the one it was to be stored under`,
      );
    try {
      return await this.write(keys, rank, made, overwrite !== undefined);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      await this.removeQuietly([keys[rank] as CacheKey]);
      return { isStored: false, state: undefined };
    }
  }

  /** Removes all states: at once, or as soon as the store is back. */
  async clear(id: Id): Promise<void> {
    await this.cache.deleteMany(this.keysOf(id));
  }

  stats(): Readonly<StateCacheCounters> {
    return { ...this.counters };
  }

  private async write(
    keys: readonly CacheKey[],
    rank: number,
    value: unknown,
    mayOverwrite: boolean,
  ): Promise<StateWrite<State>> {
    const { states } = this.definition;
    const higher = keys.slice(0, rank);
    const standing = await this.highest(higher);
    if (standing !== undefined) {
      if (!mayOverwrite) return this.refuse(standing);
      await this.cache.deleteMany(higher, { whenDown: 'reject' });
      this.counters.overwritten++;
    }
    const key = keys[rank] as CacheKey;
    if (!(await this.cache.set(key, value, this.entry))) {
      // Memory may have it, unchecked.
      await this.removeQuietly([key]);
      return { isStored: false, state: undefined };
    }
    await this.removeQuietly(keys.slice(rank + 1));
    // A higher state may have been written, and have removed the lower ones, between the look and the write.
    const overtaking = await this.highest(higher);
    if (overtaking === undefined) return { isStored: true, state: states[rank] };
    await this.removeQuietly([key]);
    return this.refuse(overtaking);
  }

  private refuse(standing: number): StateWrite<State> {
    this.counters.refused++;
    return { isStored: false, state: this.definition.states[standing] };
  }

  /** The rank of the highest entry, by the store's own word. @throws StoreUnavailableError */
  private async highest(keys: readonly CacheKey[]): Promise<number | undefined> {
    if (keys.length === 0) return undefined;
    const rank = (await this.cache.getManyShared(keys)).findIndex(({ isFound }) => isFound);
    return rank < 0 ? undefined : rank;
  }

  /** Nothing hides the highest state: if it is at hand, the others need not be asked for. */
  private async read(keys: readonly CacheKey[]): ReturnType<CacheService['getMany']> {
    const first = keys[0] as CacheKey;
    if (this.cache.peek(first) !== undefined) {
      const hit = await this.cache.get(first);
      if (hit.isFound) return [hit];
    }
    return this.cache.getMany(keys);
  }

  /** What an entry's value is read as. A mismatch takes the lower states along: they are still hidden by that entry's being there. */
  private async checked(id: Id, rank: number, value: unknown): Promise<{ readonly of: unknown } | undefined> {
    const read = await this.definition.schemas.forReading(this.definition.states[rank] as State, value);
    if (!read.issues && this.isOf(id, read.value)) return { of: read.value };
    this.counters.mismatches++;
    await this.removeQuietly(this.keysOf(id).slice(rank));
    return undefined;
  }

  private isOf(id: Id, value: unknown): boolean {
    const { identify } = this.definition;
    return identify === undefined || encodeKey([identify(value as never)]) === encodeKey([id]);
  }

  private keysOf(id: Id): CacheKey[] {
    const { name, states } = this.definition;
    // All that have lost their id would share one entry.
    if (id === undefined || id === null || (id as unknown) === '')
      throw new CacheUsageError(
        'invalid_key',
        `state cache "${name}": there is no id; got ${id === '' ? 'an empty one' : id}`,
      );
    return states.map((state) => [name, id, state]);
  }

  private rankOf(state: State): number {
    const { name, states } = this.definition;
    const rank = states.indexOf(state);
    if (rank >= 0) return rank;
    throw new CacheUsageError(
      'unknown_state',
      `state cache "${name}": there is no such state; known are ${states.join(', ')}`,
    );
  }

  /** For what is hidden by a higher state, or ends by itself soon. */
  private async removeQuietly(keys: readonly CacheKey[]): Promise<void> {
    if (keys.length === 0) return;
    try {
      await this.cache.deleteMany(keys);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
    }
  }
}
