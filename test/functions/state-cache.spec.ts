import 'reflect-metadata';
import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { afterEach, beforeAll, afterAll, describe, expect, expectTypeOf, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import {
  CacheService,
  defineStateCache,
  InjectStateCache,
  MemoryStore,
  TieredCacheModule,
  type StateCacheOf,
} from '../../src/index.js';
import { redis } from '../../src/stores/redis/index.js';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import { MemoryDatabase } from '../../src/stores/memory/memory.store.js';
import { boot, bootError, closeAll, serve } from '../nest/boot.js';
import { SteppedClock } from '../races/stepped.clock.js';
import { RedisServer } from '../servers/redis.server.js';
import { later, payment, schema, type Payment } from './schemas.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server?.stop());
afterEach(async () => {
  await closeAll();
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

const engines: CacheEngine[] = [];
function engineOn(store: CacheStore, clock?: SteppedClock): CacheEngine {
  const engine = new CacheEngine({ store, ...(clock && { clock }) });
  engines.push(engine);
  engine.open();
  return engine;
}

const paymentCache = defineStateCache({
  name: 'payment',
  states: ['paid', 'processing', 'created'],
  schema: payment,
  ttl: '30m',
  identify: ({ number }) => number,
});
const of = (amount: number): Payment => ({ number: 7, amount });

describe.each(['memory', 'redis'])('a state cache on %s', (kind) => {
  interface Process {
    readonly cache: CacheService;
    readonly states: StateCacheOf<typeof paymentCache>;
  }

  /** On one store. */
  async function processes(): Promise<[Process, Process]> {
    await server.command('FLUSHALL');
    const database = new MemoryDatabase();
    const open = (): Process => {
      const store = kind === 'redis' ? redis({ url: server.url }) : new MemoryStore({ database });
      const cache = engineOn(store).namespace('default');
      return { cache, states: paymentCache.on(cache) };
    };
    return [open(), open()];
  }

  it('has an entry for each state, and gives the highest', async () => {
    const [{ cache, states }] = await processes();
    expect(await states.get(7)).toBeUndefined();
    expect(await states.set(7, 'processing', of(1))).toEqual({ isStored: true, state: 'processing' });
    expect(await states.get(7)).toEqual({ state: 'processing', value: of(1) });
    expect(await cache.has(['payment', 7, 'processing'])).toBe(true);
    expect(await states.set(7, 'paid', of(2))).toEqual({ isStored: true, state: 'paid' });
    expect(await states.get(7)).toEqual({ state: 'paid', value: of(2) });
    expect(await states.getState(7, 'paid')).toEqual(of(2));
    expect(await states.get(8)).toBeUndefined();
  });

  it('removes the lower states, so that none comes back after the higher one', async () => {
    const [{ states }] = await processes();
    await states.set(7, 'created', of(1));
    await states.set(7, 'processing', of(2));
    await states.set(7, 'paid', of(3));
    expect(await states.getState(7, 'processing')).toBeUndefined();
    expect(await states.getState(7, 'created')).toBeUndefined();
  });

  it('refuses a lower state and says which one stands', async () => {
    const [{ states }] = await processes();
    await states.set(7, 'paid', of(2));
    expect(await states.set(7, 'processing', of(3))).toEqual({ isStored: false, state: 'paid' });
    expect(await states.set(7, 'created', of(3))).toEqual({ isStored: false, state: 'paid' });
    expect(await states.get(7)).toEqual({ state: 'paid', value: of(2) });
    expect(await states.getState(7, 'processing')).toBeUndefined();
    expect(states.stats().refused).toBe(2);
  });

  it('replaces a higher state for a reason, and the same state without one', async () => {
    const [{ states }] = await processes();
    await states.set(7, 'paid', of(2));
    await states.set(7, 'paid', of(3));
    expect(await states.get(7)).toEqual({ state: 'paid', value: of(3) });
    const chargeBack = { overwrite: 'the payment was charged back' };
    expect(await states.set(7, 'processing', of(4), chargeBack)).toEqual({ isStored: true, state: 'processing' });
    expect(await states.get(7)).toEqual({ state: 'processing', value: of(4) });
    expect(states.stats()).toMatchObject({ overwritten: 1, refused: 0 });
    await expect(states.set(7, 'created', of(4), { overwrite: ' ' })).rejects.toMatchObject({ code: 'invalid_option' });
  });

  it('clears all states', async () => {
    const [{ states }] = await processes();
    await states.set(7, 'paid', of(2));
    await states.clear(7);
    expect(await states.get(7)).toBeUndefined();
    expect(await states.set(7, 'created', of(1))).toMatchObject({ isStored: true });
  });

  it('an entry that does not match is a miss, counted and removed, and hides what is below it', async () => {
    const [{ cache, states }] = await processes();
    await cache.set(['payment', 7, 'paid'], { number: 7, amount: 'many' });
    await cache.set(['payment', 7, 'processing'], of(1));
    expect(await states.get(7)).toBeUndefined();
    expect(await states.get(7)).toBeUndefined();
    expect(states.stats().mismatches).toBe(1);
    expect(await cache.has(['payment', 7, 'paid'])).toBe(false);
    expect(await cache.has(['payment', 7, 'processing'])).toBe(false);
  });

  it("another id's value is a mismatch", async () => {
    const [{ cache, states }] = await processes();
    await cache.set(['payment', 8, 'paid'], of(1));
    expect(await states.get(8)).toBeUndefined();
    expect(await states.getState(8, 'paid')).toBeUndefined();
    expect(states.stats().mismatches).toBe(1);
    await expect(states.set(8, 'paid', of(1))).rejects.toMatchObject({ code: 'id_mismatch' });
  });

  it('who reads a lower state beside a higher one removes it', async () => {
    const [{ cache, states }, other] = await processes();
    await cache.set(['payment', 7, 'paid'], of(2));
    await cache.set(['payment', 7, 'processing'], of(3));
    expect(await other.states.get(7)).toEqual({ state: 'paid', value: of(2) });
    await expect.poll(() => states.getState(7, 'processing')).toBeUndefined();
  });
});

it('reads all states in one operation, and nothing at all when the highest is at hand', async () => {
  const store = new MemoryStore();
  let reads = 0;
  const read = store.read.bind(store);
  store.read = (keys) => (reads++, read(keys));
  const database = engineOn(store);
  const states = paymentCache.on(database.namespace('default'));
  await states.get(7);
  expect(reads).toBe(1);
  await states.set(7, 'processing', of(1));
  reads = 0;
  // A higher state may have been written elsewhere.
  await states.get(7);
  expect(reads).toBe(1);
  await states.set(7, 'paid', of(1));
  reads = 0;
  await states.get(7);
  expect(reads).toBe(0);
});

it('a request that skips tiers does not overwrite what it does not see', async () => {
  @Controller()
  class Webhook {
    constructor(@InjectStateCache(paymentCache) private readonly payments: StateCacheOf<typeof paymentCache>) {}

    @Get()
    async arrive(): Promise<object> {
      return { seen: (await this.payments.get(7)) ?? null, write: await this.payments.set(7, 'processing', of(2)) };
    }
  }
  const root = TieredCacheModule.forRoot({ forceMiss: { canForceMiss: () => true } });
  const { app, url } = await serve('express', { imports: [root, PaymentsModule], controllers: [Webhook] });
  await app.get(PaymentsService).payments.set(7, 'paid', of(1));
  const answer = await fetch(`${url}/?force_cache_miss=true`);
  expect(await answer.json()).toEqual({ seen: null, write: { isStored: false, state: 'paid' } });
});

describe('two processes', () => {
  it('see each other, also in what they have in memory', async () => {
    const database = new MemoryDatabase();
    const [a, b] = [0, 1].map(() => paymentCache.on(engineOn(new MemoryStore({ database })).namespace('default')));
    await a?.set(7, 'processing', of(1));
    expect(await b?.get(7)).toMatchObject({ state: 'processing' });
    await a?.set(7, 'paid', of(2));
    expect(await b?.set(7, 'processing', of(3))).toEqual({ isStored: false, state: 'paid' });
    expect(await b?.get(7)).toEqual({ state: 'paid', value: of(2) });
  });

  it('a lower state that outlived a failed removal ends before the higher one', async () => {
    const clock = new SteppedClock();
    const database = new MemoryDatabase({ clock });
    const store = new MemoryStore({ database });
    const states = paymentCache.on(engineOn(store, clock).namespace('default'));
    await states.set(7, 'processing', of(1));
    clock.advance(60_000);
    const remove = store.remove.bind(store);
    store.remove = () => new Promise(() => undefined);
    const paid = states.set(7, 'paid', of(2));
    // The removal is not answered: its deadline passes.
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(100);
    }
    expect(await paid).toEqual({ isStored: true, state: 'paid' });
    store.remove = remove;
    clock.advance(29 * 60_000 - 500);
    expect(await states.getState(7, 'processing')).toBeUndefined();
    expect(await states.get(7)).toMatchObject({ state: 'paid' });
    clock.advance(60_000);
    expect(await states.get(7)).toBeUndefined();
  });
});

describe('a store that does not answer', () => {
  it('nothing is stored, neither here, and reads are misses', async () => {
    const refusing = Object.assign(new MemoryStore(), { read: () => Promise.reject(new Error('down')) });
    const states = paymentCache.on(engineOn(refusing).namespace('default'));
    expect(await states.set(7, 'processing', of(1))).toEqual({ isStored: false, state: undefined });
    expect(await states.get(7)).toBeUndefined();
    expect(await states.getState(7, 'processing')).toBeUndefined();
  });

  it('after the look: what could not be shared is not seen here either', async () => {
    const store = Object.assign(new MemoryStore(), { write: () => Promise.reject(new Error('down')) });
    const states = paymentCache.on(engineOn(store).namespace('default'));
    expect(await states.set(7, 'processing', of(1))).toEqual({ isStored: false, state: undefined });
    expect(await states.get(7)).toBeUndefined();
  });

  it('for the second look: the lower state is taken back', async () => {
    const store = new MemoryStore();
    const read = store.read.bind(store);
    let reads = 0;
    store.read = (keys) => (++reads === 2 ? Promise.reject(new Error('down')) : read(keys));
    const states = paymentCache.on(engineOn(store).namespace('default'));
    expect(await states.set(7, 'processing', of(1))).toEqual({ isStored: false, state: undefined });
    expect(await states.get(7)).toBeUndefined();
  });
});

describe('the schema', () => {
  const cache = (): CacheService => engineOn(new MemoryStore()).namespace('default');

  it('refuses a value by the path of its fields, and shows nothing of it', async () => {
    const states = paymentCache.on(cache());
    const error: Error = await states.set(7, 'paid', { number: 7, amount: '4111-1111' as never }).catch((e) => e);
    expect(error).toMatchObject({ code: 'schema_mismatch' });
    expect(error.message).toContain('lines[2].amount');
    expect(error.message).not.toContain('4111');
    expect(await states.get(7)).toBeUndefined();
  });

  it('may be asynchronous, and different for each state', async () => {
    const paid = schema<{ receipt: string }>((value) =>
      (value as { receipt?: unknown }).receipt ? [] : [{ message: 'none' }],
    );
    const orders = defineStateCache({
      name: 'order',
      states: ['paid', 'open'],
      schema: { paid: later(paid), open: payment },
    });
    const states = orders.on(cache());
    await states.set('a', 'open', of(1));
    await expect(states.set('a', 'paid', {} as never)).rejects.toMatchObject({ code: 'schema_mismatch' });
    expect(await states.get('a')).toEqual({ state: 'open', value: of(1) });
    await states.set('a', 'paid', { receipt: 'r' });
    const entry = await states.get('a');
    expect(entry).toEqual({ state: 'paid', value: { receipt: 'r' } });
    if (entry?.state === 'paid') expectTypeOf(entry.value).toEqualTypeOf<{ receipt: string }>();
    if (entry?.state === 'open') expectTypeOf(entry.value).toEqualTypeOf<Payment>();
  });

  it('decides what is stored: what it strips is not there', async () => {
    const stripping = schema<Payment>(
      () => [],
      ({ number, amount }) => ({ number, amount }),
    );
    const here = cache();
    const states = defineStateCache({ name: 'p', states: ['paid'], schema: stripping }).on(here);
    await states.set(7, 'paid', { ...of(1), card: '4111' } as Payment);
    expect((await here.get(['p', 7, 'paid'])).value).toEqual(of(1));
  });

  it('must accept its own output', async () => {
    const toNumber = schema<string, number>(
      (value) => (typeof value === 'string' ? [] : [{ message: 'not a string' }]),
      Number,
    );
    const states = defineStateCache({ name: 'p', states: ['paid'], schema: toNumber }).on(cache());
    await expect(states.set(7, 'paid', '1')).rejects.toMatchObject({ code: 'unstable_schema' });
  });
});

describe('a definition', () => {
  const good = { name: 'payment', states: ['paid', 'processing'], schema: payment } as const;

  it.each([
    ['no states', { ...good, states: [] }, 'invalid_option', 'states'],
    ['doubled states', { ...good, states: ['paid', 'paid'] }, 'invalid_option', 'states'],
    ['a state without a schema', { ...good, schema: { paid: payment } }, 'invalid_option', 'processing'],
    ['something else as schema', { ...good, schema: 1 }, 'invalid_option', 'schema'],
    ['a bad lifetime', { ...good, ttl: 'soon' }, 'invalid_duration', 'ttl'],
    ['an unknown option', { ...good, tll: '1m' }, 'unknown_option', 'did you mean "ttl"'],
  ])('with %s is refused', (_, options, code, part) => {
    let error: unknown;
    try {
      defineStateCache(options as never);
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code, message: expect.stringContaining(part) });
  });

  it.each([undefined, null, ''])(
    'refuses %j as an id: the payments of all who have lost theirs would be one',
    async (id) => {
      const states = paymentCache.on(engineOn(new MemoryStore()).namespace('default'));
      const none = id as never;
      for (const call of [
        states.get(none),
        states.getState(none, 'paid'),
        states.set(none, 'paid', of(1)),
        states.clear(none),
      ])
        await expect(call).rejects.toMatchObject({
          code: 'invalid_key',
          message: expect.stringContaining('"payment"'),
        });
    },
  );

  it('refuses a state it does not have', async () => {
    const states = paymentCache.on(engineOn(new MemoryStore()).namespace('default'));
    await expect(states.getState(7, 'piad' as never)).rejects.toMatchObject({ code: 'unknown_state' });
    await expect(states.set(7, 'piad' as never, of(1))).rejects.toMatchObject({ code: 'unknown_state' });
  });
});

@Injectable()
class PaymentsService {
  constructor(@InjectStateCache(paymentCache) readonly payments: StateCacheOf<typeof paymentCache>) {}
}
@Module({ providers: [paymentCache.asProvider(), PaymentsService], exports: [PaymentsService, paymentCache.token] })
class PaymentsModule {}
@Injectable()
class OtherService {
  constructor(@InjectStateCache(paymentCache) readonly payments: StateCacheOf<typeof paymentCache>) {}
}
@Module({ providers: [paymentCache.asProvider(), OtherService], exports: [OtherService] })
class OtherModule {}

describe('under Nest', () => {
  it('is injected, one for all modules of an application, with a namespace whose lifetime can be configured', async () => {
    const root = TieredCacheModule.forRoot({ lifetimes: { PAYMENT: { ttl: 0 } } });
    const app = await boot([root, PaymentsModule, OtherModule]);
    expect(app.get(PaymentsService).payments).toBe(app.get(OtherService).payments);
    expect(await app.get(PaymentsService).payments.set(7, 'paid', of(1))).toMatchObject({ isStored: false });
    const other = await boot([TieredCacheModule.forRoot(), PaymentsModule]);
    const states = other.get(PaymentsService).payments;
    expect(states).not.toBe(app.get(PaymentsService).payments);
    expect(await states.set(7, 'paid', of(1))).toMatchObject({ isStored: true });
    expect(await other.get(CacheService).namespace('payment').has(['payment', 7, 'paid'])).toBe(true);
  });

  it('says that the root module is missing', async () => {
    expect(await bootError([PaymentsModule])).toMatchObject({ code: 'missing_root' });
  });
});
