import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { BehaviorSubject, of, Subject, throwError } from 'rxjs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  CacheService,
  getCacheToken,
  MemoryStore,
  TieredCacheModule,
  type MemoryDatabase,
  type NamespaceOptions,
  type TieredCacheOptions,
} from '../../src/index.js';
import { until } from '../faults/subject.js';
import { boot, bootError, closeAll } from './boot.js';

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

const fresh = (): MemoryDatabase => new MemoryStore().database;

/** A process of the application: its `default` namespace and `books`. */
async function start(
  database: MemoryDatabase,
  books: Partial<NamespaceOptions>,
  version?: TieredCacheOptions['version'],
) {
  const app = await boot([
    TieredCacheModule.forRoot({ remote: new MemoryStore({ database }), ...(version && { version }) }),
    TieredCacheModule.forFeature([{ name: 'books', ...books }]),
  ]);
  return { app, cache: app.get(CacheService), books: app.get<CacheService>(getCacheToken('books')) };
}

async function has(cache: CacheService): Promise<boolean> {
  return (await cache.get('k')).isFound;
}

describe('a stamp of a namespace', () => {
  it.each<[string, NonNullable<NamespaceOptions['stamp']>, NonNullable<NamespaceOptions['stamp']>]>([
    ['a text', '1', '2'],
    ['a function', () => '1', () => '2'],
    ['a function that has to ask', async () => '1', async () => '2'],
  ])('that is %s belongs to its keys: releases with different ones go side by side', async (_, one, two) => {
    const database = fresh();
    const [old, same, next] = [
      await start(database, { stamp: one }),
      await start(database, { stamp: '1' }),
      await start(database, { stamp: two }),
    ];
    for (const { books, cache } of [old, same]) for (const each of [books, cache]) await each.set('k', 'v');
    expect(await has(same.books)).toBe(true);
    expect(await has(next.books)).toBe(false);
    expect(await has(next.cache)).toBe(true);
    await next.books.set('k', 'v2');
    expect((await old.books.get('k')).value).toBe('v');
  });

  it('that is an Observable is announced to all processes with each emission, and once only', async () => {
    const database = fresh();
    const version$ = new BehaviorSubject('1');
    const [one, two] = [await start(database, { stamp: version$ }), await start(database, { stamp: version$ })];
    const deaf = await start(database, {});
    await one.books.set('k', 'v');
    await one.cache.set('k', 'v');
    const late = await start(database, { stamp: version$ });
    for (const { books } of [one, two, deaf, late]) expect(await has(books)).toBe(true);
    version$.next('2');
    for (const { books } of [one, two, deaf, late]) await until(async () => !(await has(books)), 1000);
    expect(await has(two.cache)).toBe(true);
  });

  it('gives those of before the grace of its namespace', async () => {
    const version$ = new BehaviorSubject('1');
    const { books } = await start(fresh(), { stamp: version$, stampGrace: '1m' });
    await books.set('k', 'v');
    version$.next('2');
    await until(async () => (await books.get('k')).isStale, 1000);
    expect((await books.get('k')).value).toBe('v');
  });

  it('is not listened for when the application has ended', async () => {
    const version$ = new BehaviorSubject('1');
    const { app } = await start(fresh(), { stamp: version$ });
    expect(version$.observed).toBe(true);
    await app.close();
    expect(version$.observed).toBe(false);
  });
});

describe('the stamp of the application', () => {
  it('that is an Observable is announced for all namespaces', async () => {
    const database = fresh();
    const release$ = new BehaviorSubject('r1');
    const [one, two] = [
      await start(database, {}, { stamp: release$, grace: '1m' }),
      await start(database, {}, { stamp: of('r1') }),
    ];
    for (const cache of [one.cache, one.books]) await cache.set('k', 'v');
    for (const cache of [two.cache, two.books]) expect(await cache.get('k')).toMatchObject({ isStale: false });
    release$.next('r2');
    for (const cache of [one.cache, one.books, two.cache, two.books])
      await until(async () => (await cache.get('k')).isStale, 1000);
  });

  it('that cannot be one is told with its field, and what comes next is announced all the same', async () => {
    const told = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const [version$, release$] = [new Subject<string>(), new Subject<string>()];
    const { books, cache } = await start(fresh(), { stamp: version$ }, { stamp: release$ });
    for (const each of [books, cache]) await each.set('k', 'v');
    version$.next(7 as never);
    release$.next('');
    await until(() => told.mock.calls.length === 2, 1000);
    const texts = told.mock.calls.map(([text]) => String(text));
    expect(texts).toEqual([
      expect.stringMatching(
        /^namespace "books": stamp: what it emitted is none, stamp must be a non-empty string; got a number; /,
      ),
      expect.stringMatching(
        /^version\.stamp: what it emitted is none, stamp must be a non-empty string; got an empty one; /,
      ),
    ]);
    expect([await has(books), await has(cache)]).toEqual([true, true]);
    version$.next('2');
    await until(async () => !(await has(books)), 1000);
  });

  it('whose upstream fails is told, and the application goes on', async () => {
    const told = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const { cache } = await start(fresh(), {}, { stamp: throwError(() => new RangeError('secret')) });
    expect(await cache.set('k', 'v')).toBe(true);
    expect(told.mock.calls.map(([text]) => text)).toEqual([
      expect.stringMatching(/^version\.stamp: it failed \(RangeError\); /),
    ]);
    expect(String(told.mock.calls[0])).not.toContain('secret');
  });
});

describe('stops the boot:', () => {
  it.each<[string, unknown, RegExp]>([
    [
      'a number',
      { version: { stamp: 1 } },
      /^version\.stamp must be a string, a function .* or an Observable of strings; got the number 1$/,
    ],
    ['a function of a number', { version: { stamp: () => 1 } }, /^version\.stamp must be a string; got the number 1$/],
    ['of a namespace', { namespaces: [{ name: 'n', stamp: {} }] }, /^namespaces\[0\]\.stamp must be a string, /],
    [
      'a function of nothing',
      { namespaces: [{ name: 'n', stamp: async () => undefined }] },
      /^namespace "n": stamp must be a function that gives a string; got undefined$/,
    ],
    ['a grace', { version: { stamp: of('1'), grace: 'soon' } }, /^version\.grace must be milliseconds/],
    [
      'a grace of what does not change',
      { version: { stamp: '1', grace: '1m' } },
      /^version\.grace must be given only where version\.stamp is an Observable/,
    ],
    [
      'a grace of nothing',
      { namespaces: [{ name: 'n', stampGrace: '1m' }] },
      /^namespace "n": stampGrace must be given only where namespace "n": stamp is/,
    ],
  ])('%s', async (_, options, message) => {
    const error = await bootError([
      TieredCacheModule.forRootAsync({ useFactory: () => options as TieredCacheOptions }),
    ]);
    expect(error.message).toMatch(message);
  });
});
