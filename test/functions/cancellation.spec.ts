import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { LoadContext } from '../../src/core/cache.options.js';
import { unhandledRejections, until } from '../faults/subject.js';
import { SteppedClock } from '../races/stepped.clock.js';
import { NoneStore } from '../../src/stores/none/none.store.js';
import { Gate, memoryFleet, never } from './fleet.js';

/** All that can happen without time passing has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('callers that were answered while a load goes on', () => {
  it.each([
    ['refused', 'cold'],
    ['given a stale value', 'stale'],
  ])('leave nothing behind when %s', async (_, key) => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { cache } = await memoryFleet().join();
    await cache.set('stale', 'old');
    await cache.expire('stale');
    const gate = new Gate<string>();
    const load = cache.getOrSet(key, gate.load);
    await gate.begun;
    const callers = 20_000;
    const call = (): Promise<unknown> => cache.getOrSet(key, never, { onCold: 'throw' }).catch(() => undefined);
    for (let i = 0; i < 100; i++) await call();
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < callers; i++) await call();
    collect();
    // It was 2,500 bytes each.
    expect((process.memoryUsage().heapUsed - before) / callers).toBeLessThan(100);
    gate.open('v');
    await load;
  });
});

describe('cancellation', () => {
  it('answers the caller with its reason at once, and aborts the load when it was the last one', async () => {
    const { cache } = await memoryFleet().join();
    const gate = new Gate<string>();
    let seen: LoadContext | undefined;
    const load = (context: LoadContext): Promise<string> => {
      seen = context;
      return gate.load();
    };
    const [first, second] = [new AbortController(), new AbortController()];
    const calls = [
      cache.getOrSet('k', load, { signal: first.signal }),
      cache.getOrSet('k', never, { signal: second.signal }),
    ];
    await gate.begun;
    await settled();
    first.abort(new Error('first has gone'));
    await expect(calls[0]).rejects.toThrow('first has gone');
    expect(seen?.signal.aborted).toBe(false);
    second.abort(new Error('second has gone'));
    await expect(calls[1]).rejects.toThrow('second has gone');
    expect(seen?.signal.aborted).toBe(true);
    expect(seen?.signal.reason).toMatchObject({ message: 'second has gone' });
  });

  it.each([
    ['took off', [undefined, 'signal']],
    ['joined', ['signal', undefined]],
  ] as const)('never aborts the load of a caller without a signal that %s', async (_, order) => {
    const { cache } = await memoryFleet().join();
    const gate = new Gate<string>();
    const controller = new AbortController();
    const calls = order.map((kind) =>
      cache.getOrSet('k', gate.load, kind === undefined ? undefined : { signal: controller.signal }),
    );
    await gate.begun;
    await settled();
    controller.abort(new Error('gone'));
    await expect(calls[order.indexOf('signal')]).rejects.toThrow('gone');
    gate.open('v');
    expect(await calls[order.indexOf(undefined)]).toBe('v');
    expect(cache.peek('k')).toBe('v');
  });

  it('does not stop an early refresh that nobody waits for', async () => {
    const clock = new SteppedClock();
    const { cache } = await memoryFleet(clock).join();
    const gate = new Gate<string>();
    await cache.set('k', 'old', { ttl: '1h', freshFor: '10s' });
    clock.advance(6000);
    expect(await cache.getOrSet('k', gate.load, { eagerRefresh: 0.5 })).toBe('old');
    await gate.begun;
    const controller = new AbortController();
    const gone = cache.getOrSet('k', never, { signal: controller.signal, forceFresh: false, eagerRefresh: 0.5 });
    controller.abort(new Error('gone'));
    await Promise.allSettled([gone]);
    gate.open('new');
    await settled();
    expect(cache.peek('k')).toBe('new');
  });

  it('a caller that was given a stale value has not gone: its refresh is not aborted', async () => {
    const { cache } = await memoryFleet().join();
    await cache.set('k', 'old');
    await cache.expire('k');
    const gate = new Gate<string>();
    const controllers = [new AbortController(), new AbortController()];
    const calls = controllers.map(({ signal }) => cache.getOrSet('k', gate.load, { signal, softTimeout: 0 }));
    expect(await Promise.all(calls)).toEqual(['old', 'old']);
    for (const controller of controllers) controller.abort(new Error('gone'));
    await gate.begun;
    gate.open('new');
    await until(() => cache.peek('k') === 'new', 2000);
    expect(gate.runs).toBe(1);
  });

  it('stores nothing of an aborted load, frees the key, counts no failure and tells nobody', async () => {
    const fleet = memoryFleet();
    const [a, b] = [await fleet.join(), await fleet.join()];
    const unhandled = unhandledRejections();
    const told: unknown[] = [];
    const gate = new Gate<string>();
    const controller = new AbortController();
    const call = a.cache.getOrSet('k', gate.load, {
      signal: controller.signal,
      errorTtl: '1h',
      onLoadError: (error) => told.push(error),
    });
    await gate.begun;
    controller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    await until(async () => !(await fleet.isLeased('k')), 2000);
    gate.fail(new Error('the loader gave up, too'));
    expect(await b.cache.getOrSet('k', () => 'v', { onCold: 'throw' })).toBe('v');
    expect(await a.cache.getOrSet('k', never)).toBe('v');
    expect([a.cache.stats().loadErrors, told, unhandled]).toEqual([0, [], []]);
  });

  it.each(['read', 'acquire'])(
    'a caller that comes while an abandoned flight waits for "%s" is not abandoned with it',
    async (held) => {
      const { engine, cache } = await memoryFleet().join();
      const asking = new Gate<void>();
      const run = engine.guard.run.bind(engine.guard);
      engine.guard.run = (async (operation: string, ...rest: [never, never]) => {
        if (operation === held) await asking.load();
        return run(operation, ...rest);
      }) as never;
      const controller = new AbortController();
      const gone = cache.getOrSet('k', never, { signal: controller.signal });
      await asking.begun;
      controller.abort(new Error('gone'));
      await expect(gone).rejects.toThrow('gone');
      const other = cache.getOrSet('k', () => 'v');
      asking.open();
      expect(await other).toBe('v');
    },
  );

  it('a signal that was aborted before the call runs no loader', async () => {
    const { cache } = await memoryFleet().join();
    await expect(cache.getOrSet('k', never, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
    expect(await cache.getOrSet('k', () => 'v')).toBe('v');
  });

  it('holds without a store, too, and leaves no listener on a signal that lives longer', async () => {
    const { cache } = { cache: new CacheEngine({ store: new NoneStore() }).namespace('default') };
    await expect(cache.getOrSet('k', never, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
    const { signal } = new AbortController();
    let listeners = 0;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = ((...args: Parameters<typeof add>) => (listeners++, add(...args))) as typeof add;
    signal.removeEventListener = ((...args: Parameters<typeof remove>) => (
      listeners--,
      remove(...args)
    )) as typeof remove;
    for (const subject of [cache, (await memoryFleet().join()).cache])
      for (let i = 0; i < 10; i++) await subject.getOrSet(`k${i}`, () => 1, { signal });
    await settled();
    expect(listeners).toBe(0);
    const controller = new AbortController();
    const gate = new Gate<string>();
    const call = cache.getOrSet('k', gate.load, { signal: controller.signal });
    await gate.begun;
    controller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
  });

  it('one id of a batch that is aborted aborts the whole call, and strands no flight', async () => {
    const { engine, cache } = await memoryFleet().join();
    const gate = new Gate<Map<number, string>>();
    const controller = new AbortController();
    const call = cache.getOrSetMany([1, 2], gate.load, { signal: controller.signal });
    await gate.begun;
    controller.abort(new Error('gone'));
    await expect(call).rejects.toThrow('gone');
    gate.open(new Map());
    await engine.drain();
    expect(engine.inspect()).toMatchObject({ flights: 0, underway: 0, waiting: 0, watched: 0 });
  });
});
