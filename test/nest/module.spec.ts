import 'reflect-metadata';
import { Injectable, Module, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it } from 'vitest';
import {
  Cached,
  CacheService,
  EntityInvalidationService,
  InjectCache,
  InvalidatesCache,
  MemoryStore,
  RequestCacheService,
  TieredCacheModule,
  defineEntity,
  entityTags,
  getCacheToken,
  tieredCacheConfig,
  type TieredCacheOptions,
} from '../../src/index.js';
import { MemoryLockStore } from '../../src/stores/memory/memory.lock-store.js';
import { boot, bootError, closeAll } from './boot.js';

afterEach(closeAll);

describe('TieredCacheModule', () => {
  it.each([
    ['the bare class', TieredCacheModule],
    ['forRoot()', TieredCacheModule.forRoot()],
    ['forRoot({})', TieredCacheModule.forRoot({})],
    ['forRootAsync()', TieredCacheModule.forRootAsync({ useFactory: () => ({}) })],
  ])('works without configuration as %s', async (_name, module) => {
    const app = await boot([module]);
    const cache = app.get(CacheService);
    let runs = 0;
    const load = async (): Promise<object> => ({ run: ++runs });
    expect(await cache.getOrSet('k', load)).toEqual({ run: 1 });
    expect(await cache.getOrSet('k', load)).toEqual({ run: 1 });
    expect(cache.name).toBe('default');
  });

  it('takes its options from tieredCacheConfig', async () => {
    process.env.CACHE_ENABLED = 'false';
    try {
      const app = await boot([TieredCacheModule.forRootAsync(tieredCacheConfig.asProvider())]);
      expect(await app.get(CacheService).set('k', 1)).toBe(false);
    } finally {
      delete process.env.CACHE_ENABLED;
    }
  });

  it('takes them from a class', async () => {
    class Settings {
      createTieredCacheOptions(): TieredCacheOptions {
        return { enabled: () => Promise.resolve(false) };
      }
    }
    const app = await boot([TieredCacheModule.forRootAsync({ useClass: Settings })]);
    expect(await app.get(CacheService).set('k', 1)).toBe(false);
  });

  it('shares one store given by instance, and separates versions', async () => {
    const store = (): MemoryStore => new MemoryStore({ database });
    const { database } = new MemoryStore();
    const one = await boot([TieredCacheModule.forRoot({ remote: store(), version: { app: '1' } })]);
    const same = await boot([TieredCacheModule.forRoot({ remote: () => store(), version: { app: () => '1' } })]);
    const other = await boot([TieredCacheModule.forRoot({ remote: store(), version: { app: '2' } })]);
    await one.get(CacheService).set('k', 'v');
    expect((await same.get(CacheService).get('k')).getValueOrDefault(undefined)).toBe('v');
    expect((await other.get(CacheService).get('k')).isFound).toBe(false);
  });
});

describe('a second root', () => {
  @Module({ imports: [TieredCacheModule] })
  class Habit {}
  @Module({ imports: [TieredCacheModule.forRoot({ defaults: { ttl: '1m' } })] })
  class Another {}

  it.each<[string, Type]>([
    ['the class itself, in a feature module', Habit],
    ['forRoot() in a feature module', Another],
  ])('stops the boot, since neither would hear what is invalidated by the other: %s', async (_name, feature) => {
    expect(await bootError([TieredCacheModule.forRoot(), feature])).toMatchObject({
      code: 'duplicate_root',
      message: expect.stringContaining('imported 2 times'),
    });
  });

  it('is none where modules share what forRoot() has returned', async () => {
    const shared = TieredCacheModule.forRoot({ isGlobal: false });
    @Module({ imports: [shared], exports: [shared] })
    class Feature {}
    const app = await boot([shared, Feature]);
    expect(await app.get(CacheService).set('k', 1)).toBe(true);
  });
});

describe('a store that is made where a module is declared', () => {
  it.each<[string, TieredCacheOptions]>([
    ['remote', { remote: new MemoryStore() }],
    ['locks.store', { locks: { store: new MemoryLockStore() } }],
  ])('serves no second application, be the first still there or not: %s', async (field, options) => {
    @Module({ imports: [TieredCacheModule.forRoot(options)] })
    class App {}
    const refusal = { code: 'store_in_use', message: expect.stringMatching(new RegExp(`^${field} is the store of `)) };
    const first = await boot([App]);
    expect(await bootError([App])).toMatchObject(refusal);
    await first.close();
    expect(await bootError([App])).toMatchObject(refusal);
  });

  it('serves any number by a function', async () => {
    @Module({ imports: [TieredCacheModule.forRoot({ remote: () => new MemoryStore() })] })
    class App {}
    for (let i = 0; i < 2; i++) {
      const app = await boot([App]);
      expect(await app.get(CacheService).set('k', i)).toBe(true);
      await app.close();
    }
  });
});

describe('forFeature', () => {
  @Injectable()
  class Library {
    constructor(
      @InjectCache('books') readonly books: CacheService,
      @InjectCache() readonly fallback: CacheService,
      readonly cache: CacheService,
      readonly request: RequestCacheService,
    ) {}
  }

  it('injects namespaces by name', async () => {
    const feature = TieredCacheModule.forFeature([{ name: 'books', ttl: '5m' }, { name: 'authors' }]);
    @Module({ imports: [feature], providers: [Library] })
    class LibraryModule {}
    const app = await boot([TieredCacheModule.forRoot(), LibraryModule]);
    const library = app.get(Library);
    expect(library.books.name).toBe('books');
    expect(library.fallback).toBe(library.cache);
    expect(library.cache.namespace('authors')).toBe(app.get(getCacheToken('authors'), { strict: false }));
    await library.books.set('k', 1);
    expect(await library.cache.has('k')).toBe(false);
  });

  it('refuses a namespace that is declared twice', async () => {
    const error = await bootError([
      TieredCacheModule.forRoot(),
      TieredCacheModule.forFeature([{ name: 'books' }]),
      TieredCacheModule.forFeature([{ name: 'books', ttl: '1m' }]),
    ]);
    expect(error).toMatchObject({ code: 'duplicate_namespace', message: expect.stringContaining('"books"') });
    expect(
      await bootError([TieredCacheModule.forRoot(), TieredCacheModule.forFeature([{ name: 'default' }])]),
    ).toMatchObject({
      code: 'duplicate_namespace',
    });
  });

  it('says what is missing without forRoot', async () => {
    const error = await bootError([TieredCacheModule.forFeature([{ name: 'books' }])]);
    expect(error).toMatchObject({
      code: 'missing_root',
      message: expect.stringContaining('TieredCacheModule.forRoot()'),
    });
  });

  it('names unknown fields', () => {
    const misspelt = { name: 'books', freshfor: '1m' };
    expect(() => TieredCacheModule.forFeature([misspelt])).toThrow(
      'unknown option "forFeature[0].freshfor": did you mean "freshFor"?',
    );
  });

  it('completes namespaces with defaults and lifetimes', async () => {
    const app = await boot([
      TieredCacheModule.forRoot({
        defaults: { ttl: '1h' },
        lifetimes: { BOOK_LISTS: { ttl: '2m' } },
        namespaces: [{ name: 'root.declared' }],
      }),
      TieredCacheModule.forFeature([{ name: 'book-lists', ttl: '5m' }, { name: 'plain' }]),
    ]);
    const cache = app.get(CacheService);
    const life = async (name: string): Promise<number> => {
      const service = name === 'default' ? cache : cache.namespace(name);
      await service.set('k', 1);
      return Math.round(((await service.explain('k')).memory?.expiresInMs ?? 0) / 60_000);
    };
    expect([await life('default'), await life('root.declared'), await life('plain'), await life('book-lists')]).toEqual(
      [60, 60, 60, 2],
    );
  });

  it('refuses lifetimes of namespaces that nobody declared', async () => {
    const error = await bootError([
      TieredCacheModule.forRoot({ lifetimes: { BOKS: { ttl: '2m' } } }),
      TieredCacheModule.forFeature([{ name: 'books' }]),
    ]);
    expect(error).toMatchObject({
      code: 'unknown_namespace',
      message: expect.stringMatching(/CACHE_TTL_BOKS.*did you mean BOOKS\?/),
    });
  });
});

describe('malformed options stop the boot', () => {
  const secret = 'hunter2';
  it.each<[string, object, RegExp]>([
    ['unknown', { memroy: false }, /^unknown option "memroy": did you mean "memory"\?$/],
    [
      'unknown, nested',
      { memory: { maxEntrys: 5 } },
      /^unknown option "memory.maxEntrys": did you mean "maxEntries"\?$/,
    ],
    ['unlike any', { zzzzzzzzzz: secret }, /^unknown option "zzzzzzzzzz": known are prefix, /],
    ['duration', { defaults: { ttl: secret } }, /^defaults\.ttl must be /],
    ['no time for the store', { deadline: 0 }, /^deadline must be longer than 0; got the number 0$/],
    ['no lease', { defaults: { lease: 0 } }, /lease must be longer than 0/],
    ['no time for loaders', { defaults: { hardTimeout: 0 } }, /hardTimeout must be longer than 0/],
    [
      'an empty tag',
      { namespaces: [{ name: 'a', tags: [''] }] },
      /^namespace "a": tags: a tag must be a non-empty string/,
    ],
    [
      'too many prefixes',
      { namespaces: [{ name: 'a', prefixes: Array.from({ length: 17 }, (_, i) => `p${i}`) }] },
      /^namespace "a": prefixes must be at most 16; got 17$/,
    ],
    [
      'an entity twice',
      { entities: [defineEntity('Course', { filters: [['a']] }), defineEntity('Course', { filters: [['b']] })] },
      /^entity "Course" is defined twice/,
    ],
    [
      'count',
      { memory: { maxEntries: 0 } },
      /^memory\.maxEntries must be a whole number of at least 1; got the number 0$/,
    ],
    ['boolean', { requestTier: secret }, /^requestTier must be true or false; got a string$/],
    ['prefix', { prefix: `${secret} {}` }, /^prefix must be 1 to 64 letters/],
    [
      'remote type',
      { remote: { url: secret } },
      /^remote must be a URL or a store such as redis\(\{ url \}\); got an instance of Object$/,
    ],
    ['remote scheme', { remote: `${secret}:x` }, /^remote must begin with redis:\/\//],
    ['remote not yet', { remote: `postgres://u:${secret}@h/db` }, /^remote: no store for postgres yet in this version/],
    ['remote url', { remote: `redis://:${secret}@:x:y` }, /^remote must be a valid URL such as redis:/],
    ['resolved', { remote: () => 5 }, /^remote must be a URL or a store/],
    [
      'prefix of a foreign store',
      { prefix: 'a', remote: new MemoryStore() },
      /^prefix has no effect on a store built elsewhere/,
    ],
    ['isGlobal', { isGlobal: true }, /^isGlobal must be given beside useFactory/],
    ['forceMiss', { forceMiss: {} }, /^forceMiss\.canForceMiss must be given/],
    ['no object', [], /^the options must be an object; got an array$/],
  ])('%s', async (_name, options, message) => {
    const error = await bootError([
      TieredCacheModule.forRootAsync({ useFactory: () => options as TieredCacheOptions }),
    ]);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('\n');
    expect(error.message).not.toContain(secret);
  });
});

it.each([
  ['undefined, as of a setting with a typo', undefined, 'undefined'],
  ['null', null, 'null'],
  ['a URL', 'redis://localhost', 'a string'],
])(
  'options that are none stop the boot, rather than to keep in each process what is to be shared: %s',
  async (_name, none, found) => {
    const error = await bootError([
      TieredCacheModule.forRootAsync({ useFactory: () => none as unknown as TieredCacheOptions }),
    ]);
    expect(error).toMatchObject({
      code: 'invalid_option',
      message: expect.stringMatching(`^the options .*; got ${found}$`),
    });
    if (none !== undefined)
      expect(() => TieredCacheModule.forRoot(none as unknown as TieredCacheOptions)).toThrow(
        /^the options must be an object/,
      );
  },
);

it('can be overridden in tests like any provider', async () => {
  const testing = await Test.createTestingModule({ imports: [TieredCacheModule.forRoot()] })
    .overrideProvider(CacheService)
    .useValue({ name: 'fake' })
    .compile();
  expect(testing.get(CacheService).name).toBe('fake');
  await testing.close();
});

it('does what decorators and entities say also where CacheService is a substitute', async () => {
  @Injectable()
  class Books {
    runs = 0;

    @Cached({ tags: ['books', ...entityTags('Book')] })
    async all(): Promise<number> {
      return ++this.runs;
    }

    @InvalidatesCache({ tags: ['books'] })
    async add(): Promise<string> {
      return 'added';
    }
  }
  const testing = await Test.createTestingModule({ imports: [TieredCacheModule.forRoot()], providers: [Books] })
    .overrideProvider(CacheService)
    .useValue({})
    .compile();
  await testing.init();
  const books = testing.get(Books);
  expect([await books.all(), await books.all()]).toEqual([1, 1]);
  expect(await books.add()).toBe('added');
  expect(await books.all()).toBe(2);
  await testing.get(EntityInvalidationService).invalidateEntity('Book');
  expect(await books.all()).toBe(3);
  await testing.close();
});
