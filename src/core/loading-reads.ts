import type { CacheEngine } from './cache-engine.js';
import type { CacheKey, CallOptions, LoadContext, Loader } from './cache.options.js';
import { LoadRun } from './flights/load-run.js';
import type { FlightRequest } from './flights/single-flight.js';
import { isDue } from './freshness/due.js';
import { planOf } from './freshness/load-plan.js';
import type { Address } from './keys/address.js';
import { addressOf } from './keys/address.js';
import { EncodedKey } from './keys/encoded-key.js';
import type { Namespace } from './namespace.js';
import type { Found } from './tiers/found.js';
import type { NearTiers } from './tiers/near-tiers.js';
import type { RequestScope } from './tiers/request.scope.js';
import { rememberRead } from './tiers/request.tier.js';

/** Reads that load what they do not find. */
export class LoadingReads {
  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
    private readonly near: NearTiers,
  ) {}

  /** The value. */
  async value<T>(asked: CacheKey | EncodedKey, loader: Loader<T>, options?: CallOptions<T>): Promise<T> {
    const { engine } = this;
    const address = addressOf(this.space, asked);
    const key = asked instanceof EncodedKey ? asked.parts : asked;
    if (engine.passThrough) return this.loadUncached(key, loader, options);
    const scope = engine.requestScope?.();
    const changes = scope?.changes;
    const found = this.find(key, address, loader, options, scope);
    return (found instanceof Promise ? this.arrived(await found, address, scope, changes) : found).value.take() as T;
  }

  /**
   * The entry.
   * @param onIdle called when it turns out that the loader need not be waited for (any more, or for the time being)
   */
  async entry<T>(
    key: CacheKey,
    loader: Loader<T>,
    options: CallOptions<T> | undefined,
    onIdle: () => void,
  ): Promise<Found> {
    const address = addressOf(this.space, key);
    const scope = this.engine.requestScope?.();
    const changes = scope?.changes;
    const found = this.find(key, address, loader, options, scope, onIdle);
    return found instanceof Promise ? this.arrived(await found, address, scope, changes) : found;
  }

  private find<T>(
    key: CacheKey,
    address: Address,
    loader: Loader<T>,
    options: CallOptions<T> | undefined,
    scope: RequestScope | undefined,
    onIdle?: () => void,
  ): Found | Promise<Found> {
    const { engine, space } = this;
    const forced = options?.forceFresh === true || scope?.forced === true;
    const near = options?.forceFresh ? undefined : this.near.find(address, scope);
    const isGood = near && engine.clock.now() < near.freshUntil && (!forced || near.tier === 'request');
    const plan = planOf(space, options);
    if (isGood && !isDue(plan, near, engine.clock.now())) {
      onIdle?.();
      return near;
    }
    const failure = forced ? undefined : space.failures.find(address.local);
    if (failure) throw failure.error;
    const request: FlightRequest = {
      flight: undefined,
      namespace: space,
      key,
      address,
      plan,
      near,
      forced,
      load: loader as (run: LoadRun) => unknown,
      onIdle,
      signal: options?.signal,
      notBefore: scope?.learnsSince,
    };
    if (!isGood) return engine.singleFlight.fly(request);
    engine.singleFlight.refresh(request);
    return near;
  }

  private arrived(found: Found, address: Address, scope: RequestScope | undefined, changes: number | undefined): Found {
    if (found.tier !== 'loader' && this.engine.clock.now() >= found.freshUntil) this.space.counters.staleHits++;
    // What was not to be stored is not remembered here, either.
    if (scope && found.expiresAt > found.createdAt) rememberRead(scope, this.space, address.local, found, changes);
    return found;
  }

  private async loadUncached<T>(key: CacheKey, loader: Loader<T>, options?: CallOptions<T>): Promise<T> {
    const run = new LoadRun(key, planOf(this.space, options), this.engine.clock);
    const { signal } = options ?? {};
    signal?.throwIfAborted();
    let forget: (() => void) | undefined;
    const loaded = run.run(
      (context) => loader(context as LoadContext<T>),
      (stop) => {
        const abort = (): void => stop(signal?.reason);
        signal?.addEventListener('abort', abort);
        forget = () => signal?.removeEventListener('abort', abort);
      },
    );
    return (await loaded.finally(() => forget?.())).value as T;
  }
}
