import type { FactoryProvider } from '@nestjs/common';
import type { EntryOptions, KeyPart } from '../core/cache.options.js';
import type { CacheEngine } from '../core/cache-engine.js';
import type { CacheService } from '../core/cache.service.js';
import type { Lifetime } from '../core/clock/duration.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import { NamespaceSettings } from '../namespace-settings.js';
import { fail, fields, isAnything, isFunction, isLifetime, isText, listOf } from '../option-checks.js';
import { TIERED_CACHE_ENGINE } from '../tiered-cache.constants.js';
import { StateCache } from './state-cache.js';
import type { StateCacheOptions, StateSchemas, StateValue } from './state-cache.options.js';
import { StateSchema } from './state-schema.js';

const areOptions = fields(
  { name: isText, states: listOf(isText), schema: isAnything, ttl: isLifetime, identify: isFunction },
  ['name', 'states', 'schema'],
);

/** There is no loader that could refresh a stale entry. */
const NEVER_STALE = { freshFor: 'forever' } as const;

/**
 * A cache in which a thing has one entry for each of its states instead of one that is overwritten. (After commerce-coordinator's ADR
 * 0005, "Versioning".)
 * @throws CacheUsageError `invalid_option`, `unknown_option`, `invalid_duration`
 * @example
 * const paymentCache = defineStateCache({ name: 'payment', states: ['paid', 'processing'], schema: paymentSchema, ttl: '30m' });
 * // providers: [paymentCache.asProvider()], constructor(@InjectStateCache(paymentCache) private readonly payments: StateCacheOf<typeof paymentCache>)
 */
export function defineStateCache<
  const State extends string,
  Schemas extends StateSchemas<State>,
  Id extends KeyPart = string | number,
>(options: StateCacheOptions<State, Schemas, Id>): StateCacheDefinition<State, Schemas, Id> {
  return new StateCacheDefinition(options);
}

/** The type of the cache that a definition makes. */
export type StateCacheOf<Definition> =
  Definition extends StateCacheDefinition<infer State, infer Schemas, infer Id>
    ? StateCache<State, Schemas, Id>
    : never;

/** What `defineStateCache()` returns. */
export class StateCacheDefinition<
  State extends string = string,
  Schemas extends StateSchemas<State> = StateSchemas<State>,
  Id extends KeyPart = KeyPart,
> {
  readonly name: string;
  readonly states: readonly State[];
  /** For injection; what `@InjectStateCache(definition)` uses. */
  readonly token: symbol;
  /** For the cache. */
  readonly schemas: StateSchema;
  /** For the cache. */
  readonly identify: ((value: StateValue<State, Schemas>) => Id) | undefined;
  private readonly ttl: Lifetime | undefined;
  private readonly made = new WeakMap<CacheEngine, StateCache<State, Schemas, Id>>();

  constructor(options: StateCacheOptions<State, Schemas, Id>) {
    areOptions(options, 'defineStateCache');
    const { name, states, schema, ttl, identify } = options;
    if (states.length === 0 || states.includes('' as State) || new Set(states).size < states.length)
      fail('defineStateCache.states', 'one or more different names, highest first', states);
    this.name = name;
    this.states = [...states];
    this.schemas = new StateSchema(name, states, schema);
    this.identify = identify;
    this.ttl = ttl;
    this.token = Symbol(`StateCache(${name})`);
  }

  /** On a cache that there is, for where there is no injection. Entries live as long as `ttl` says, or that cache. */
  on(cache: CacheService): StateCache<State, Schemas, Id> {
    const entry: EntryOptions = this.ttl === undefined ? NEVER_STALE : { ttl: this.ttl, ...NEVER_STALE };
    return new StateCache(this, cache, entry);
  }

  /**
   * Makes the cache injectable in the module that lists it; in several modules it is one and the same. It has a namespace of its own by
   * its name, so that the lifetime can be configured (`CACHE_TTL_<NAME>`).
   */
  asProvider(): FactoryProvider<StateCache<State, Schemas, Id>> {
    return {
      provide: this.token,
      inject: [
        { token: TIERED_CACHE_ENGINE, optional: true },
        { token: NamespaceSettings, optional: true },
      ],
      useFactory: (engine?: CacheEngine, settings?: NamespaceSettings) => {
        if (engine === undefined || settings === undefined)
          throw new CacheUsageError(
            'missing_root',
            `state cache "${this.name}" found no cache: import TieredCacheModule.forRoot() or forRootAsync() once, in the root module, without isGlobal: false`,
          );
        return this.in(engine, settings);
      },
    };
  }

  private in(engine: CacheEngine, settings: NamespaceSettings): StateCache<State, Schemas, Id> {
    let cache = this.made.get(engine);
    if (cache === undefined) {
      const lifetime = this.ttl === undefined ? {} : { ttl: this.ttl };
      // Entries of all states are to end in the order in which they were written.
      const namespace = engine.addNamespace(settings.complete({ name: this.name, ...lifetime, jitter: 0 }));
      cache = new StateCache(this, namespace, NEVER_STALE);
      this.made.set(engine, cache);
    }
    return cache;
  }
}
