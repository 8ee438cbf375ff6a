import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it } from 'vitest';
import {
  CacheService,
  InjectCache,
  MemoryStore,
  RequestCacheService,
  TieredCacheModule,
  defineEntity,
  getCacheToken,
  tieredCacheConfig,
  type TieredCacheOptions,
} from '../../src/index.js';
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

it('can be overridden in tests like any provider', async () => {
  const testing = await Test.createTestingModule({ imports: [TieredCacheModule.forRoot()] })
    .overrideProvider(CacheService)
    .useValue({ name: 'fake' })
    .compile();
  expect(testing.get(CacheService).name).toBe('fake');
  await testing.close();
});
