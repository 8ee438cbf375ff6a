import { Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import type { CacheEngine } from '../core/cache-engine.js';
import type { CacheService } from '../core/cache.service.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import { fail, fields, isBoolean, isDuration, isFunction, isSpan, matches } from '../option-checks.js';
import { warmUpsOf } from './warm-up.decorator.js';
import type { WarmUpOptions, WarmUpStatus } from './warm-up.options.js';
import { WarmUp } from './warm-up.js';

const NAMESPACE = 'warm-up';

const areOptions = fields(
  {
    name: matches(/\S/, 'a name'),
    every: isDuration,
    atBoot: isBoolean,
    retryAfter: isSpan,
    timeout: isSpan,
    lease: isSpan,
    run: isFunction,
  },
  ['name', 'run'],
);

/**
 * Fills caches before anybody asks: at boot, on a schedule, or both, in exactly one process of those that share a store. A process that
 * dies in a run is replaced within `lease`. A run that fails is logged and tried again later; it never delays or stops the boot. While the
 * store does not answer, nobody runs.
 * @example
 * warmer.register({ name: 'bestsellers', every: '10m', run: async (warm) => { await this.top(); warm.progress(1, 1); } });
 */
export class CacheWarmer implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('CacheWarmer');
  private readonly warmUps = new Map<string, WarmUp>();
  private readonly listeners = new Set<(status: WarmUpStatus) => void>();
  private cache: CacheService | undefined;
  private isStarted = false;
  private isStopped = false;

  /** Inject it instead of calling this. */
  constructor(
    private readonly engine: CacheEngine,
    private readonly discovery: DiscoveryService,
  ) {}

  /**
   * Before the application has started the warm-up begins with it, later at once.
   * @throws CacheUsageError `invalid_option`, `unknown_option`, `invalid_duration`, `duplicate_warm_up`
   */
  register(options: WarmUpOptions): void {
    areOptions(options, 'warm-up');
    const { name, every, atBoot = true } = options;
    if (every === 0) fail(`warm-up "${name}": every`, 'longer than 0', every);
    if (every === undefined && !atBoot) fail(`warm-up "${name}": every`, 'given where atBoot is false', every);
    if (this.warmUps.has(name))
      throw new CacheUsageError('duplicate_warm_up', `warm-up "${name}" is registered twice; give one another name`);
    this.cache ??= this.engine.addNamespace({ name: NAMESPACE });
    const warmUp = new WarmUp(options, this.cache, this.engine.clock, (status) => this.changed(status));
    this.warmUps.set(name, warmUp);
    if (this.isStarted) this.start(warmUp);
  }

  /** What this process knows of each warm-up, in the order of registration. */
  status(): WarmUpStatus[] {
    return [...this.warmUps.values()].map(({ status }) => status);
  }

  /** Calls `listener` whenever a status changes, with every report of progress; what it returns ends that. */
  onChange(listener: (status: WarmUpStatus) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  onApplicationBootstrap(): void {
    this.discover();
    this.isStarted = true;
    for (const warmUp of this.warmUps.values()) this.start(warmUp);
  }

  /** Before what the runs use is taken from them. */
  async onModuleDestroy(): Promise<void> {
    this.isStopped = true;
    await Promise.all([...this.warmUps.values()].map((warmUp) => warmUp.stop()));
  }

  private start(warmUp: WarmUp): void {
    if (this.isStopped) return;
    if (this.engine.passThrough) warmUp.turnOff();
    else warmUp.start();
  }

  private discover(): void {
    const wrappers = [...this.discovery.getProviders(), ...this.discovery.getControllers()];
    const seen = new Set<object>();
    for (const wrapper of wrappers) {
      const instance = wrapper.instance as Record<string | symbol, WarmUpOptions['run']> | null | undefined;
      if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue;
      seen.add(instance);
      const type = instance.constructor as (abstract new () => unknown) | undefined;
      if (typeof type !== 'function') continue;
      for (const { method, ...options } of warmUpsOf(type)) {
        const name = options.name ?? `${type.name}.${String(method)}`;
        if (!wrapper.isDependencyTreeStatic())
          throw new CacheUsageError(
            'invalid_warm_up',
            `@WarmUp() on ${type.name}.${String(method)}: the provider is request-scoped; use a singleton`,
          );
        this.register({ ...options, name, run: (warm) => instance[method]?.(warm) });
      }
    }
  }

  private changed(status: WarmUpStatus): void {
    const { name, state, isOwn, error, done, total } = status;
    if (state === 'failed' && isOwn && !this.isStopped)
      this.logger.error(
        `warm-up "${name}" failed after ${done} of ${total ?? '?'}: ${error instanceof Error ? error.message : typeof error}`,
        error instanceof Error ? error.stack : undefined,
      );
    for (const listener of this.listeners) {
      try {
        listener(status);
      } catch {
        // Its own to report.
      }
    }
  }
}
