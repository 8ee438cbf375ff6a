import 'reflect-metadata';
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Param,
  Scope,
  StreamableFile,
  type CallHandler,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { Readable } from 'node:stream';
import type { Observable } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  byHeaders,
  byParams,
  byRoute,
  CacheLock,
  CacheLockService,
  CachePage,
  CacheResponse,
  CacheService,
  Lease,
  runInCacheScope,
  TieredCacheModule,
  type Lease as LeaseOfCall,
} from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { Gate } from './subject.js';
import { ask } from './wire/wire.client.js';

// What middleware or a guard has left of one client in an AsyncLocalStorage is not shown to another.

/** As it is before anybody watches. */
const runUnseen = AsyncLocalStorage.prototype.run;

const OPEN_TELEMETRY = Symbol.for('opentelemetry.js.api.1');

interface Store {
  client: string;
  tenant?: string;
}

/** As nestjs-cls has it. */
class Cls {
  private readonly storage = new AsyncLocalStorage<Store>();
  get(name: keyof Store): string | undefined {
    return this.storage.getStore()?.[name];
  }
  runWith<T>(store: Store, fn: () => T): T {
    return this.storage.run(store, fn);
  }
  /** With a copy. */
  run<T>(fn: () => T): T {
    return this.runWith({ ...(this.storage.getStore() as Store) }, fn);
  }
  set(name: keyof Store, value: string): void {
    (this.storage.getStore() as Store)[name] = value;
  }
  enter(store: Store): void {
    this.storage.enterWith(store);
  }
}

class Renamed extends AsyncLocalStorage<object> {
  private readonly stores = new WeakMap<object, string>();
  override run<R>(store: object, fn: () => R): R {
    const handle = {};
    this.stores.set(handle, (store as Store).client);
    return super.run(handle, fn);
  }
  override getStore(): object | undefined {
    const handle = super.getStore();
    return handle && { client: this.stores.get(handle) };
  }
}

interface Way {
  /** What middleware does for a client, in place of going on. */
  readonly fill?: (client: string, next: () => void) => void;
  readonly guard?: (client: string) => void;
  readonly read: () => unknown;
}

const tick = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));

/** With storages of their own, which nobody has used before. */
function differing(): Readonly<Record<string, Way>> {
  const cls = new Cls();
  const guarded = new Cls();
  const objects = new AsyncLocalStorage<Store>();
  const texts = new AsyncLocalStorage<string | undefined>();
  const renamed = new Renamed();
  const unseen = new AsyncLocalStorage<Store>();
  const given: Way['fill'] = (client, next) => objects.run({ client }, next);
  const byCls: Way['fill'] = (client, next) => cls.runWith({ client }, next);
  const client = (): unknown => objects.getStore()?.client;
  return {
    'a store': { fill: given, read: client },
    'a store, after a while': { fill: given, read: () => tick().then(client) },
    'a store, in a timer': {
      fill: given,
      read: () => new Promise((resolve) => setTimeout(() => resolve(client()), 1)),
    },
    'a store, in a resource': { fill: given, read: () => AsyncResource.bind(client)() },
    'a store, in a snapshot': { fill: given, read: () => AsyncLocalStorage.snapshot()(client) },
    'a text as store': { fill: (name, next) => texts.run(name, next), read: () => texts.getStore() },
    'the store of a subclass': {
      fill: (name, next) => renamed.run({ client: name }, next),
      read: () => (renamed.getStore() as Store).client,
    },
    'as nestjs-cls has it': { fill: byCls, read: () => cls.get('client') },
    'a copy in a nested store': { fill: byCls, read: () => cls.run(() => cls.get('client')) },
    'what a guard has added to a store': {
      fill: (_name, next) => cls.runWith({ client: '' }, next),
      guard: (name) => cls.set('tenant', name),
      read: () => cls.get('tenant'),
    },
    'what a guard has entered': {
      guard: (name) => guarded.enter({ client: name }),
      read: () => guarded.get('client'),
    },
    'a store for some': {
      fill: (name, next) => (name === 'ann' ? next() : texts.run(name, next)),
      read: () => texts.getStore() ?? null,
    },
    'undefined for some': {
      fill: (name, next) => texts.run(name === 'ann' ? undefined : name, next),
      read: () => texts.getStore() ?? null,
    },
    'a store that nobody has seen filled': {
      fill: (name, next) => void runUnseen.call(unseen as AsyncLocalStorage<unknown>, { client: name }, next),
      read: () => unseen.getStore()?.client,
    },
  };
}

const logger = new AsyncLocalStorage<Store>();

/** Of which handlers make the same for all. */
function alike(): Readonly<Record<string, Way>> {
  const objects = new AsyncLocalStorage<Store>();
  const own = new AsyncLocalStorage<Store>();
  const tracing = new AsyncLocalStorage<Store>();
  const given: Way['fill'] = (client, next) => objects.run({ client }, next);
  Reflect.set(globalThis, OPEN_TELEMETRY, { version: '1.9.0', context: { _asyncLocalStorage: tracing } });
  return {
    'nothing of what there is': { fill: given, read: () => null },
    'what it has opened itself': { read: () => own.run({ client: 'me' }, () => own.getStore()?.client) },
    'what it has opened itself, inside of what there is': {
      fill: given,
      read: () => objects.run({ client: 'me' }, () => tick().then(() => objects.getStore()?.client)),
    },
    'what it has entered itself': {
      read: () => tick().then(() => (own.enterWith({ client: 'me' }), own.getStore()?.client)),
    },
    'what nobody fills': { fill: given, read: () => own.getStore()?.client ?? null },
    'where its span belongs to': {
      fill: (client, next) => tracing.run({ client }, next),
      read: () => tracing.getStore() === undefined,
    },
    'the context of its logger': {
      fill: (client, next) => logger.run({ client }, next),
      read: () => logger.getStore() === undefined,
    },
  };
}

let ways: Readonly<Record<string, Way>> = {};
const runs = new Map<string, number>();
/** What slow handlers wait for, once the first has begun. */
let gate = new Gate();
let entered = new Gate(1);
let arrived = new Gate(1);
beforeEach(() => runs.clear());
afterAll(() => Reflect.deleteProperty(globalThis, OPEN_TELEMETRY));

async function answer(way: string): Promise<object> {
  runs.set(way, (runs.get(way) ?? 0) + 1);
  const value = await ways[way]?.read();
  return { run: runs.get(way), value };
}

const autoVary = { ignoreContexts: [logger] };

const told = new AsyncLocalStorage<Store>();

@Controller()
class Ways {
  constructor(
    private readonly cache: CacheService,
    private readonly locks: CacheLockService,
  ) {}

  @Get('page/:way')
  @CachePage({ ttl: '1m', autoVary })
  page(@Param('way') way: string): object {
    return answer(way);
  }

  @Get('value/:way')
  @CacheResponse({ ttl: '1m', autoVary })
  value(@Param('way') way: string): object {
    return answer(way);
  }

  @Get('stream/:way')
  @CachePage('1m')
  stream(@Param('way') way: string): StreamableFile {
    const pieces = async function* (): AsyncGenerator<Buffer> {
      await tick();
      yield Buffer.from(JSON.stringify(await answer(way)));
    };
    return new StreamableFile(Readable.from(pieces()));
  }

  @Get('slow/:way')
  @CachePage('1m')
  async slow(@Param('way') way: string): Promise<object> {
    entered.arrive();
    await gate.opened;
    return answer(way);
  }

  @Get('slow-value/:way')
  @CacheResponse('1m')
  async slowValue(@Param('way') way: string): Promise<object> {
    entered.arrive();
    await gate.opened;
    return answer(way);
  }

  @Get('stale/:way')
  @CachePage({ ttl: '1m', freshFor: 1 })
  stale(@Param('way') way: string): object {
    return answer(way);
  }

  @Get('one/:way')
  @CachePage({ ttl: '1m', key: [byParams('way')] })
  one(@Param('way') way: string): object {
    return answer(way);
  }

  @Get('other/:way')
  @CachePage({ ttl: '1m', key: [byParams('way')] })
  other(@Param('way') way: string): object {
    return answer(way);
  }

  @Get('uncached/:way')
  uncached(@Param('way') way: string): object {
    return answer(way);
  }

  @Get('keyed/:way')
  @CachePage({ ttl: '1m', key: [byRoute(), byParams(), byHeaders('x-client')], autoVary: { ignore: ['context'] } })
  keyed(@Param('way') way: string): object {
    return answer(way);
  }

  @Get('labelled/:way')
  @CachePage({
    ttl: '1m',
    tags: () => [`of-${String(told.getStore() === undefined)}`],
    shouldCache: () => told.getStore() !== undefined,
  })
  labelled(@Param('way') way: string): object {
    return answer(way);
  }

  @Get('own/:way')
  @CacheLock({ key: ({ params }) => ['own', params['way'] as string] })
  @CachePage('1m')
  async own(@Param('way') way: string, @Lease() lease: LeaseOfCall): Promise<object> {
    const isHeld = await this.cache.getOrSet(['own', way], () => lease.isHeld);
    const isCurrent = await this.locks.run(['inner', way], () => this.locks.current() !== undefined);
    return { ...(await runInCacheScope(() => answer(way))), isHeld, isCurrent };
  }
}

/** Reads when it is made, before anybody could hear it. */
@Injectable({ scope: Scope.REQUEST })
class Told {
  readonly client = told.getStore()?.client ?? null;
}

@Controller('made')
class Made {
  constructor(@Inject(Told) private readonly by: Told) {}

  @Get(':way')
  @CachePage('1m')
  page(): object {
    return { value: this.by.client };
  }

  @Get('value/:way')
  @CacheResponse('1m')
  value(): object {
    return { value: this.by.client };
  }
}

/** Lets pass: with it the reads are noted from the end of the guards on. */
class Outside implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

interface Start {
  readonly isOutermost?: boolean;
  readonly requestTier?: boolean;
}

const wayOf = (url: string): Way | undefined => ways[decodeURIComponent(url.split('/').at(-1) ?? '')];

const start = (platform: Platform, { isOutermost = true, requestTier = true }: Start = {}): Promise<{ url: string }> =>
  serve(
    platform,
    { imports: [TieredCacheModule.forRoot({ requestTier })], controllers: [Ways, Made], providers: [Told] },
    (app: INestApplication) => {
      if (!isOutermost) app.useGlobalInterceptors(new Outside());
      app.use((request: { url: string; headers: Record<string, string> }, _response: unknown, next: () => void) => {
        const fill = wayOf(request.url)?.fill;
        if (fill) fill(request.headers['x-client'] as string, next);
        else next();
        arrived.arrive();
      });
      app.useGlobalGuards({
        canActivate(context) {
          const request = context.switchToHttp().getRequest<{ url: string; headers: Record<string, string> }>();
          wayOf(request.url)?.guard?.(request.headers['x-client'] as string);
          return true;
        },
      });
    },
  );

async function get(
  url: string,
  kind: string,
  way: string,
  client: string,
): Promise<{ value: unknown; status: string }> {
  const { body, status, headers } = await ask(`${url}/${kind}/${encodeURIComponent(way)}`, {
    headers: { 'x-client': client },
  });
  expect(status, body.toString()).toBe(200);
  const { value } = JSON.parse(body.toString()) as { value: unknown };
  return { value, status: String(headers['cache-status']) };
}

const PLACES = [
  ['behind another interceptor', { isOutermost: false }],
  ['as the outermost interceptor', { isOutermost: true }],
  ['without a request tier', { requestTier: false }],
] as const;

describe.each<Platform>(['express', 'fastify'])('on %s', (platform) => {
  describe.each(PLACES)('%s', (_place, options) => {
    let url: string;
    beforeAll(async () => void ({ url } = await start(platform, options)));
    afterAll(closeAll);

    it.each(Object.keys(differing()))('a client is not shown what another was, read from %s', async (way) => {
      for (const kind of ['page', 'value', 'stream']) {
        ways = differing();
        const shown: unknown[] = [];
        for (const client of ['ann', 'bob', 'cid', 'bob', 'ann']) shown.push((await get(url, kind, way, client)).value);
        const first = way.endsWith(' for some') ? null : 'ann';
        expect(shown).toEqual([first, 'bob', 'cid', 'bob', first]);
      }
    });

    it.each(Object.keys(alike()))('a page is shared whose handler reads %s', async (way) => {
      ways = alike();
      for (const kind of ['page', 'value']) for (const client of ['ann', 'bob']) await get(url, kind, way, client);
      expect(runs.get(way)).toBe(2);
    });
  });

  describe('and', () => {
    let url: string;
    beforeAll(async () => void ({ url } = await start(platform)));
    afterAll(closeAll);

    const byClient = (): Way => {
      const storage = new AsyncLocalStorage<Store>();
      return { fill: (client, next) => storage.run({ client }, next), read: () => storage.getStore()?.client };
    };
    const seldom = (): Way => {
      const storage = new AsyncLocalStorage<string>();
      const fill: Way['fill'] = (client, next) => (client === 'ann' ? next() : storage.run(client, next));
      return { fill, read: () => storage.getStore() ?? null };
    };
    const indifferent = (): Way => ({ ...byClient(), read: () => null });

    it('says that the answer depends on what no key knows', async () => {
      ways = { tenant: byClient(), none: indifferent() };
      expect((await get(url, 'page', 'tenant', 'ann')).status).toBe('tiered-cache; fwd=uri-miss; detail=unkeyed');
      expect((await get(url, 'page', 'none', 'ann')).status).toContain('stored');
    });

    it('stores what is made of it where the key is said to know', async () => {
      ways = { tenant: byClient() };
      const shown: unknown[] = [];
      for (const client of ['ann', 'bob', 'ann', 'bob']) shown.push((await get(url, 'keyed', 'tenant', client)).value);
      expect(shown).toEqual(['ann', 'bob', 'ann', 'bob']);
      expect(runs.get('tenant')).toBe(2);
    });

    it('a page that handlers share is for none who has a store where any of them has found none', async () => {
      ways = { shared: seldom() };
      const shown: unknown[] = [];
      for (const client of ['ann', 'bob'])
        for (const kind of ['one', 'other', 'one']) shown.push((await get(url, kind, 'shared', client)).value);
      expect(shown).toEqual([null, null, null, 'bob', 'bob', 'bob']);
      expect(runs.get('shared')).toBe(4);
    });

    it.each(['made', 'made/value'])('what constructors may have read counts (%s)', async (kind) => {
      const some: Way['fill'] = (client, next) => (client === 'ann' ? next() : told.run({ client }, next));
      ways = { some: { fill: some, read: () => null } };
      const shown: unknown[] = [];
      for (const client of ['ann', 'bob', 'cid', 'ann']) shown.push((await get(url, kind, 'some', client)).value);
      expect(shown).toEqual([null, 'bob', 'cid', null]);
    });

    it('does not mind what the functions of a policy look at', async () => {
      ways = { tenant: { fill: (client, next) => told.run({ client }, next), read: () => null } };
      for (const client of ['ann', 'bob']) await get(url, 'labelled', 'tenant', client);
      expect(runs.get('tenant')).toBe(1);
    });

    it('does not mind what this package keeps itself', async () => {
      ways = { none: indifferent() };
      for (const client of ['ann', 'bob']) {
        const { body } = await ask(`${url}/own/none`, { headers: { 'x-client': client } });
        expect(JSON.parse(body.toString())).toEqual({ run: 1, value: null, isHeld: true, isCurrent: true });
      }
    });

    it.each(['slow', 'slow-value'])('who waits for what was made for another has its own made (%s)', async (kind) => {
      for (const [way, of] of [
        ['tenant', byClient],
        ['seldom', seldom],
      ] as const) {
        ways = { [way]: of() };
        runs.clear();
        [gate, entered] = [new Gate(), new Gate(1)];
        const first = get(url, kind, way, 'ann');
        await entered.opened;
        const others = ['bob', 'cid', 'bob'];
        arrived = new Gate(others.length);
        const asked = [first, ...others.map((client) => get(url, kind, way, client))];
        await arrived.opened;
        // It has come after them, and is answered.
        await ask(`${url}/nowhere`);
        gate.release();
        const shown = (await Promise.all(asked)).map(({ value }) => value);
        expect(shown).toEqual([way === 'seldom' ? null : 'ann', 'bob', 'cid', 'bob']);
      }
    });

    it.each(['slow', 'slow-value'])(
      'others may read theirs while a page is made that reads none (%s)',
      async (kind) => {
        for (const requestTier of [true, false]) {
          const { url } = await start(platform, { requestTier });
          const tenant = byClient();
          const rarely = seldom();
          const none = { fill: tenant.fill, read: () => null } as Way;
          ways = { tenant, rarely, none };
          // Whose storage is empty is known by the request tier.
          if (requestTier) await get(url, 'page', 'rarely', 'bob');
          runs.clear();
          [gate, entered] = [new Gate(), new Gate(1)];
          const slow = get(url, kind, 'none', 'ann');
          await entered.opened;
          for (const client of ['ann', 'bob'])
            expect((await get(url, 'uncached', 'tenant', client)).value).toBe(client);
          for (const client of ['ann', 'bob']) await get(url, 'uncached', 'rarely', client);
          gate.release();
          await slow;
          for (const client of ['ann', 'bob', 'cid']) await get(url, kind, 'none', client);
          expect(runs.get('none')).toBe(1);
        }
      },
    );

    it('a refresh without a client is looked at, too', async () => {
      const storage = new AsyncLocalStorage<Store>();
      let isTold = false;
      ways = {
        stale: {
          fill: (client, next) => storage.run({ client: client ?? 'nobody' }, next),
          read: () => (isTold ? storage.getStore()?.client : 'all'),
        },
      };
      expect((await get(url, 'stale', 'stale', 'ann')).status).toContain('stored');
      isTold = true;
      // Refreshed for all by the request of whoever comes: what is made of that is not kept.
      for (const client of ['bob', 'cid', 'bob', 'cid']) {
        const { value } = await get(url, 'stale', 'stale', client);
        expect(['all', client]).toContain(value);
        await tick();
      }
      expect(runs.get('stale')).toBeGreaterThan(1);
    });
  });
});
