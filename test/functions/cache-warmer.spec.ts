import 'reflect-metadata';
import { Controller, Injectable, Logger, Scope } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import {
  CacheWarmer,
  MemoryStore,
  TieredCacheModule,
  WarmUp,
  type CacheStore,
  type WarmUpOptions,
  type WarmUpRun,
  type WarmUpStatus,
} from '../../src/index.js';
import { MemoryDatabase } from '../../src/stores/memory/memory.store.js';
import { unhandledRejections } from '../faults/subject.js';
import { boot, bootError, closeAll } from '../nest/boot.js';
import { SteppedClock } from '../races/stepped.clock.js';

const DAY_MS = 86_400_000;
const logged: string[] = [];
function captureLog(): void {
  const silent = (): void => undefined;
  Logger.overrideLogger({ log: silent, warn: silent, error: (message: string) => logged.push(message) });
}
beforeEach(() => {
  logged.length = 0;
  captureLog();
});
afterEach(async () => {
  await closeAll();
  Logger.overrideLogger(true);
});

interface Process {
  readonly warmer: CacheWarmer;
  readonly store: CacheStore;
  readonly seen: WarmUpStatus[];
}

/** Several processes on one store, in a time that stands still. */
class Fleet {
  readonly clock = new SteppedClock();
  readonly ran: string[] = [];
  private readonly database = new MemoryDatabase({ clock: this.clock });

  start(name: string, options: Partial<WarmUpOptions>): Process {
    const store = new MemoryStore({ database: this.database });
    const engine = new CacheEngine({ store, clock: this.clock });
    engine.open();
    const none = { getProviders: () => [], getControllers: () => [] } as unknown as DiscoveryService;
    const warmer = new CacheWarmer(engine, none);
    const seen: WarmUpStatus[] = [];
    warmer.onChange((status) => seen.push(status));
    const { run = () => undefined } = options;
    warmer.register({ name: 'best', ...options, run: (warm) => (this.ran.push(name), run(warm)) });
    warmer.onApplicationBootstrap();
    return { warmer, store, seen };
  }

  /** Lets everything happen that can, then moves the time on, step by step. */
  async pass(ms = 0): Promise<void> {
    await this.settle();
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(Math.min(left, 100));
      await this.settle();
    }
  }

  private async settle(): Promise<void> {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  }
}

const stateOf = ({ warmer }: Process): WarmUpStatus => warmer.status()[0] as WarmUpStatus;

describe('in a fleet', () => {
  it('one process runs at boot, the others are told', async () => {
    const fleet = new Fleet();
    const all = ['a', 'b', 'c'].map((name) => fleet.start(name, {}));
    await fleet.pass(1000);
    expect(fleet.ran).toHaveLength(1);
    expect(all.map(stateOf)).toMatchObject([{ state: 'done' }, { state: 'done' }, { state: 'done' }]);
    expect(all.filter((one) => stateOf(one).isOwn)).toHaveLength(1);
    // So does one that starts later.
    const late = fleet.start('d', {});
    await fleet.pass();
    expect(stateOf(late)).toMatchObject({ state: 'done', isOwn: false });
    expect(fleet.ran).toHaveLength(1);
    await fleet.pass(11 * 60_000);
    expect(fleet.ran).toHaveLength(1);
    fleet.start('e', {});
    await fleet.pass();
    expect(fleet.ran[1]).toBe('e');
  });

  it('one process runs in each period, whichever has started when', async () => {
    const fleet = new Fleet();
    fleet.start('a', { every: '10s' });
    await fleet.pass(6000);
    const b = fleet.start('b', { every: '10s' });
    await fleet.pass(3500);
    expect(fleet.ran).toEqual(['a']);
    for (let runs = 2; runs < 6; runs++) {
      await fleet.pass(10_000);
      expect(fleet.ran).toHaveLength(runs);
    }
    expect(stateOf(b).state).toBe('done');
  });

  it('the next run is a period after the end of the last, though the process that ran has ended', async () => {
    const fleet = new Fleet();
    const a = fleet.start('a', { every: '10s' });
    await fleet.pass(5000);
    fleet.start('b', { every: '10s' });
    await fleet.pass();
    await a.warmer.onModuleDestroy();
    await fleet.pass(4500);
    expect(fleet.ran).toEqual(['a']);
    await fleet.pass(1000);
    expect(fleet.ran).toEqual(['a', 'b']);
  });

  it('a run that fails is reported, and repeated by nobody before it is due again', async () => {
    const unhandled = unhandledRejections();
    const fleet = new Fleet();
    let isBroken = true;
    const run = (warm: WarmUpRun): void => {
      warm.progress(3, 10);
      if (isBroken) throw new Error('no database');
    };
    const all = ['a', 'b', 'c'].map((name) => fleet.start(name, { every: '10m', retryAfter: '30s', run }));
    await fleet.pass(1000);
    expect(fleet.ran).toHaveLength(1);
    const own = all.find((one) => stateOf(one).isOwn) as Process;
    expect(all.map((one) => stateOf(one).state)).toEqual(['failed', 'failed', 'failed']);
    expect(stateOf(own)).toMatchObject({ done: 3, total: 10, error: { message: 'no database' } });
    expect(logged).toEqual(['warm-up "best" failed after 3 of 10: no database']);
    isBroken = false;
    await fleet.pass(28_000);
    expect(fleet.ran).toHaveLength(1);
    await fleet.pass(2000);
    expect(fleet.ran).toHaveLength(2);
    expect(all.map((one) => stateOf(one).state)).toEqual(['done', 'done', 'done']);
    expect(unhandled).toEqual([]);
  });

  it('a run at boot that fails is tried again until it is done', async () => {
    const fleet = new Fleet();
    let failures = 2;
    const run = async (): Promise<void> => {
      if (failures-- > 0) throw new Error('not yet');
    };
    const a = fleet.start('a', { run, retryAfter: '5s' });
    await fleet.pass(60_000);
    expect(fleet.ran).toHaveLength(3);
    expect(stateOf(a).state).toBe('done');
  });

  it('the first run is a period after the start when atBoot is false', async () => {
    const fleet = new Fleet();
    fleet.start('a', { every: '10s', atBoot: false });
    await fleet.pass(9000);
    expect(fleet.ran).toEqual([]);
    await fleet.pass(1100);
    expect(fleet.ran).toEqual(['a']);
  });

  it.each([{ atBoot: true }, { atBoot: false }])(
    'a period may be longer than a timer can be (%o)',
    async ({ atBoot }) => {
      const fleet = new Fleet();
      const a = fleet.start('a', { every: '60d', atBoot });
      await fleet.pass();
      const [looks, runs] = [a.seen.length, fleet.ran.length];
      for (let days = 0; days < 59; days++) {
        fleet.clock.advance(DAY_MS);
        await fleet.pass();
      }
      expect([a.seen.length, fleet.ran.length]).toEqual([looks, runs]);
      fleet.clock.advance(DAY_MS + 1000);
      await fleet.pass();
      expect(fleet.ran).toHaveLength(runs + 1);
    },
  );

  it('without a run at boot, a process that starts anew goes on with the schedule of the fleet', async () => {
    const fleet = new Fleet();
    const first = fleet.start('first', { every: '10s', atBoot: false });
    await fleet.pass(6000);
    await first.warmer.onModuleDestroy();
    // Nobody has run yet: the period began when the first one started.
    const second = fleet.start('second', { every: '10s', atBoot: false });
    await fleet.pass(4500);
    expect(fleet.ran).toEqual(['second']);
    await fleet.pass(7000);
    await second.warmer.onModuleDestroy();
    const third = fleet.start('third', { every: '10s', atBoot: false });
    await fleet.pass(1000);
    expect(fleet.ran).toEqual(['second']);
    expect(stateOf(third).state).toBe('idle');
    await fleet.pass(2500);
    expect(fleet.ran).toEqual(['second', 'third']);
  });

  it('without a run at boot, one that failed is tried again when it is due, whoever starts anew meanwhile', async () => {
    const fleet = new Fleet();
    const run = (): never => {
      throw new Error('no database');
    };
    const first = fleet.start('first', { every: '10m', retryAfter: '20s', run });
    await fleet.pass();
    await first.warmer.onModuleDestroy();
    fleet.start('second', { every: '10m', retryAfter: '20s', atBoot: false });
    await fleet.pass(19_000);
    expect(fleet.ran).toEqual(['first']);
    await fleet.pass(1500);
    expect(fleet.ran).toEqual(['first', 'second']);
  });

  it('tells its progress', async () => {
    const fleet = new Fleet();
    const { warmer, seen } = fleet.start('a', {
      run: async (warm) => {
        for (let done = 1; done <= 2; done++) {
          await Promise.resolve();
          warm.progress(done, 2);
        }
      },
    });
    warmer.onChange(() => {
      throw new Error('a listener of somebody');
    });
    const said: string[] = [];
    const end = warmer.onChange(({ state, done, total }) => said.push(`${state} ${done}/${total}`));
    await fleet.pass();
    end();
    expect(seen.at(-1)).toMatchObject({ name: 'best', state: 'done', isOwn: true, done: 2, total: 2, tookMs: 0 });
    expect(said).toEqual(['running 0/undefined', 'running 1/2', 'running 2/2', 'done 2/2']);
  });
});

describe('the end of a process', () => {
  it('aborts its run, waits for it, and lets another process take over at once', async () => {
    const fleet = new Fleet();
    let signal: AbortSignal | undefined;
    let tidied = false;
    const hang = (warm: WarmUpRun): Promise<void> =>
      new Promise((_, reject) => {
        signal = warm.signal;
        warm.signal.addEventListener('abort', () =>
          setImmediate(() => {
            tidied = true;
            reject(warm.signal.reason as Error);
          }),
        );
      });
    const a = fleet.start('a', { run: hang });
    await fleet.pass();
    const b = fleet.start('b', {});
    await fleet.pass(2000);
    expect(fleet.ran).toEqual(['a']);
    expect(stateOf(b).state).toBe('waiting');
    await a.warmer.onModuleDestroy();
    expect(signal?.aborted).toBe(true);
    expect(tidied).toBe(true);
    await fleet.pass();
    expect(fleet.ran).toEqual(['a', 'b']);
    expect(stateOf(b)).toMatchObject({ state: 'done', isOwn: true });
    expect(logged).toEqual([]);
  });

  it('is not held up for ever by a run that ignores its signal', async () => {
    const fleet = new Fleet();
    const a = fleet.start('a', { run: () => new Promise(() => undefined) });
    await fleet.pass();
    const stopped = a.warmer.onModuleDestroy().then(() => 'stopped');
    await fleet.pass(4000);
    expect(await Promise.race([stopped, Promise.resolve('waiting')])).toBe('waiting');
    await fleet.pass(1500);
    expect(await stopped).toBe('stopped');
    const told = a.seen.length;
    await fleet.pass(30_000);
    expect(a.seen.length).toBe(told);
  });

  it('ends a loop that reports its progress', async () => {
    const fleet = new Fleet();
    let turns = 0;
    const a = fleet.start('a', {
      run: async (warm) => {
        for (;;) {
          await new Promise((resolve) => setImmediate(resolve));
          warm.progress(++turns);
        }
      },
    });
    await fleet.pass();
    await a.warmer.onModuleDestroy();
    const last = turns;
    await fleet.pass();
    expect(turns - last).toBeLessThanOrEqual(1);
  });

  it('means no further runs', async () => {
    const fleet = new Fleet();
    const a = fleet.start('a', { every: '10s' });
    await fleet.pass();
    await a.warmer.onModuleDestroy();
    a.warmer.register({ name: 'other', run: () => fleet.ran.push('other') });
    await fleet.pass(30_000);
    expect(fleet.ran).toEqual(['a']);
  });
});

it('a run that takes longer than its timeout is aborted, and has failed for all', async () => {
  const fleet = new Fleet();
  let signal: AbortSignal | undefined;
  const run = (warm: WarmUpRun): Promise<void> => {
    signal = warm.signal;
    return new Promise(() => undefined);
  };
  const all = ['a', 'b'].map((name) => fleet.start(name, { run, timeout: '20s', every: '1m' }));
  await fleet.pass(19_000);
  expect(signal?.aborted).toBe(false);
  await fleet.pass(2000);
  expect(signal?.aborted).toBe(true);
  expect(all.map((one) => stateOf(one).state)).toEqual(['failed', 'failed']);
  expect(all.map((one) => stateOf(one).error)).toContainEqual(expect.objectContaining({ code: 'warm_up_timeout' }));
  expect(fleet.ran).toHaveLength(1);
});

describe('a store', () => {
  it.each([
    ['that takes no writes', ['write', 'acquire', 'fill', 'renew']],
    ['that does not answer', ['read', 'write', 'acquire', 'fill', 'renew', 'tokens']],
  ])('%s: nobody runs until it does', async (_, broken) => {
    const fleet = new Fleet();
    const a = fleet.start('a', { run: () => undefined, atBoot: false, every: '1s' });
    for (const operation of broken) Object.assign(a.store, { [operation]: () => Promise.reject(new Error('down')) });
    await fleet.pass(20_000);
    expect(fleet.ran).toEqual([]);
    expect(stateOf(a).state).toBe('waiting');
    // What the prototype has.
    for (const operation of broken) Reflect.deleteProperty(a.store, operation);
    await fleet.pass(20_000);
    expect(fleet.ran.length).toBeGreaterThan(0);
    expect(stateOf(a).state).toBe('done');
  });
});

describe('under Nest', () => {
  @Injectable()
  class Best {
    static readonly ran: string[] = [];

    @WarmUp()
    async top(warm: WarmUpRun): Promise<void> {
      warm.progress(1, 1);
      Best.ran.push(`${this.constructor.name}.top`);
    }

    @WarmUp({ name: 'hourly', every: '1h' })
    again(): void {
      Best.ran.push('hourly');
    }

    cold(): void {
      Best.ran.push('cold');
    }
  }
  afterEach(() => void Best.ran.splice(0));

  /** Like a decorator that replaces a method. */
  function Wrapped(_: object, __: string, descriptor: PropertyDescriptor): void {
    const inner = descriptor.value as (...args: unknown[]) => unknown;
    descriptor.value = function (this: unknown, ...args: unknown[]) {
      return inner.apply(this, args);
    };
  }

  @Injectable()
  class Better extends Best {
    @Wrapped
    @WarmUp({ name: 'better' })
    override again(): void {
      Best.ran.push('better');
    }
  }

  @Controller()
  class Shop {
    @WarmUp()
    window(): void {
      Best.ran.push('Shop.window');
    }
  }

  @Injectable({ scope: Scope.REQUEST })
  class OfRequest {
    @WarmUp()
    top(): void {}
  }

  const settled = (warmer: CacheWarmer): Promise<void> =>
    expect
      .poll(() => warmer.status().map(({ state }) => state))
      .toSatisfy((states: string[]) => states.every((s) => s === 'done'));

  it('runs decorated methods of providers and controllers, with their this', async () => {
    const app = await boot(
      [TieredCacheModule.forRoot(), { module: class Shops {}, controllers: [Shop] }],
      [Best, Better, { provide: 'alias', useExisting: Best }],
    );
    const warmer = app.get(CacheWarmer);
    expect(warmer.status().map(({ name }) => name)).toEqual([
      'Best.top',
      'hourly',
      'Better.top',
      'better',
      'Shop.window',
    ]);
    await settled(warmer);
    expect(Best.ran.sort()).toEqual(['Best.top', 'Better.top', 'Shop.window', 'better', 'hourly']);
  });

  it('refuses a request-scoped provider', async () => {
    const app = boot([TieredCacheModule.forRoot()], [OfRequest]);
    await expect(app).rejects.toMatchObject({ code: 'invalid_warm_up', message: expect.stringContaining('OfRequest') });
  });

  it('boots while a run hangs or fails, and closes', async () => {
    const unhandled = unhandledRejections();
    @Injectable()
    class Warm {
      constructor(warmer: CacheWarmer) {
        // Nest's test module has its own.
        captureLog();
        const hang = ({ signal }: WarmUpRun): Promise<void> =>
          new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
        warmer.register({ name: 'hangs', run: hang });
        warmer.register({ name: 'fails', run: () => Promise.reject(new Error('no')) });
      }
    }
    Reflect.defineMetadata('design:paramtypes', [CacheWarmer], Warm);
    const app = await boot([TieredCacheModule.forRoot()], [Warm]);
    const warmer = app.get(CacheWarmer);
    await expect.poll(() => warmer.status().map(({ state }) => state)).toEqual(['running', 'failed']);
    await app.close();
    expect(logged).toEqual(['warm-up "fails" failed after 0 of ?: no']);
    expect(unhandled).toEqual([]);
  });

  it('begins at once what is registered later', async () => {
    const app = await boot([TieredCacheModule.forRoot()]);
    const warmer = app.get(CacheWarmer);
    warmer.register({ name: 'late', run: () => undefined });
    await settled(warmer);
    expect(warmer.status()).toMatchObject([{ name: 'late', isOwn: true }]);
  });

  it.each([{ enabled: false }, { remote: 'none' }])('has nothing to do with %j', async (options) => {
    const app = await boot([TieredCacheModule.forRoot(options)], [Best]);
    expect(app.get(CacheWarmer).status()).toMatchObject([{ state: 'off' }, { state: 'off' }]);
    expect(Best.ran).toEqual([]);
  });

  it.each([
    [{ name: '' }, 'invalid_option', 'name'],
    [{ name: 'x', run: undefined }, 'invalid_option', 'run'],
    [{ name: 'x', every: 0 }, 'invalid_option', 'every'],
    [{ name: 'x', every: 'soon' }, 'invalid_duration', 'every'],
    [{ name: 'x', retryAfter: 0 }, 'invalid_option', 'retryAfter must be longer than 0'],
    [{ name: 'x', timeout: '0s' }, 'invalid_option', 'timeout must be longer than 0'],
    [{ name: 'x', lease: 0 }, 'invalid_option', 'lease must be longer than 0'],
    [{ name: 'x', atBoot: false }, 'invalid_option', 'every'],
    [{ name: 'x', evry: '1m' }, 'unknown_option', 'did you mean "every"'],
    [{ name: 'taken' }, 'duplicate_warm_up', 'taken'],
  ])('refuses %j', async (options, code, part) => {
    const warmer = (await boot([TieredCacheModule.forRoot()])).get(CacheWarmer);
    warmer.register({ name: 'taken', run: () => undefined });
    let error: unknown;
    try {
      warmer.register({ run: () => undefined, ...options } as never);
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code, message: expect.stringContaining(part) });
  });

  it('two warm-ups of one name stop the boot', async () => {
    @Injectable()
    class Twice {
      @WarmUp({ name: 'same' })
      one(): void {}
      @WarmUp({ name: 'same' })
      two(): void {}
    }
    expect(await bootError([TieredCacheModule.forRoot(), { module: class M {}, providers: [Twice] }])).toMatchObject({
      code: 'duplicate_warm_up',
    });
  });
});
