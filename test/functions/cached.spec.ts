import 'reflect-metadata';
import { Inject, Injectable, Module, Scope } from '@nestjs/common';
import { ContextIdFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  CacheService,
  Cached,
  MemoryStore,
  TieredCacheModule,
  cachedMethod,
  getCacheToken,
  type CachedOptions,
  type TieredCacheOptions,
} from '../../src/index.js';
import { boot, bootError, closeAll } from '../nest/boot.js';

afterEach(closeAll);

@Injectable()
class Books {
  runs = 0;
  answer: unknown = { list: [1, 2] };

  @Cached({ ttl: '24h', freshFor: '1h', tags: ['books'] })
  async top(_author: string): Promise<unknown> {
    this.runs++;
    await Promise.resolve();
    return this.answer;
  }

  @Cached({ ttl: 0 })
  async never(_author: string): Promise<number> {
    await Promise.resolve();
    return ++this.runs;
  }

  @Cached({ shouldCache: (value: number) => value > 1 })
  async vetoed(): Promise<number> {
    return ++this.runs;
  }

  @Cached({ ttl: (value: number) => (value > 1 ? '1h' : 0) })
  async ownTtl(): Promise<number> {
    return ++this.runs;
  }

  @Cached({ errorTtl: (error: unknown) => (String(error).includes('known') ? '1h' : 0) })
  async failing(reason: string): Promise<number> {
    this.runs++;
    throw new Error(reason);
  }

  @Cached({ namespace: 'authors', tags: (value: { id: number }, [lang]: [string]) => [`author:${value.id}`, lang] })
  async author(_lang: string): Promise<{ id: number; run: number }> {
    return { id: 7, run: ++this.runs };
  }

  async both(author: string): Promise<unknown[]> {
    return [await this.top(author), await this.top(author)];
  }
}

const NAMESPACES = [{ name: 'authors', ttl: '5m' as const }];

async function books(options: TieredCacheOptions = {}): Promise<{ service: Books; cache: CacheService }> {
  const app = await boot([TieredCacheModule.forRoot({ namespaces: NAMESPACES, ...options })], [Books]);
  return { service: app.get(Books), cache: app.get(CacheService) };
}

describe('@Cached()', () => {
  it('runs a method once for each key', async () => {
    const { service } = await books();
    expect(await service.top('a')).toEqual({ list: [1, 2] });
    expect(await service.top('a')).toBe(await service.top('a'));
    await service.top('b');
    expect(service.runs).toBe(2);
  });

  it.each([[null], [undefined], [false], [0], ['']])('keeps %o: it is a hit (F12)', async (answer) => {
    const { service } = await books();
    service.answer = answer;
    expect([await service.top('a'), await service.top('a')]).toEqual([answer, answer]);
    expect(service.runs).toBe(1);
  });

  it('shares one run among the concurrent calls of a process, and asks the store once (F13)', async () => {
    const { database } = new MemoryStore();
    const store = new MemoryStore({ database });
    const asked = vi.spyOn(store, 'read');
    const { service, cache } = await books({ remote: store });
    const values = await Promise.all(Array.from({ length: 20 }, () => service.top('a')));
    expect(new Set(values).size).toBe(1);
    expect(service.runs).toBe(1);
    expect(cache.stats()).toMatchObject({ loads: 1, coalesced: 19 });
    expect(asked.mock.calls.length).toBe(1);
  });

  it('is read by other processes from the store', async () => {
    const { database } = new MemoryStore();
    const one = await books({ remote: new MemoryStore({ database }) });
    const two = await books({ remote: new MemoryStore({ database }) });
    expect(await one.service.top('a')).toEqual(await two.service.top('a'));
    expect([one.service.runs, two.service.runs]).toEqual([1, 0]);
  });

  it('caches calls through this, too', async () => {
    const { service } = await books();
    await service.both('a');
    await service.top('a');
    expect(service.runs).toBe(1);
  });

  it('stores nothing on a veto of shouldCache, a ttl of 0, or a value whose own ttl is 0', async () => {
    const { service } = await books();
    expect([await service.vetoed(), await service.vetoed(), await service.vetoed()]).toEqual([1, 2, 2]);
    service.runs = 0;
    expect([await service.ownTtl(), await service.ownTtl(), await service.ownTtl()]).toEqual([1, 2, 2]);
    service.runs = 0;
    expect([await service.never('a'), await service.never('a')]).toEqual([1, 2]);
    // What is not stored is still run once for those who wait together.
    expect(await Promise.all([service.never('b'), service.never('b')])).toEqual([3, 3]);
  });

  it('remembers the failures that errorTtl names, and no others', async () => {
    const { service } = await books();
    for (let i = 0; i < 3; i++) await expect(service.failing('known')).rejects.toThrow('known');
    expect(service.runs).toBe(1);
    for (let i = 0; i < 3; i++) await expect(service.failing('other')).rejects.toThrow('other');
    expect(service.runs).toBe(4);
  });

  it('labels with tags, fixed or made of value and arguments', async () => {
    const { service, cache } = await books();
    await service.top('a');
    await cache.invalidateTags(['books']);
    await service.top('a');
    expect(service.runs).toBe(2);
    for (const tag of ['author:7', 'en']) {
      const { run } = await service.author('en');
      expect((await service.author('en')).run).toBe(run);
      await cache.invalidateTags([tag]);
      expect((await service.author('en')).run).toBe(run + 1);
    }
    const { run } = await service.author('en');
    await cache.invalidateTags(['de']);
    expect((await service.author('en')).run).toBe(run);
  });

  it('lays its options over those of its namespace', async () => {
    const app = await boot(
      [TieredCacheModule.forRoot(), TieredCacheModule.forFeature([{ name: 'authors', ttl: 0 }])],
      [Books],
    );
    const [service, authors] = [app.get(Books), app.get<CacheService>(getCacheToken('authors'))];
    await service.author('en');
    expect((await authors.get(cachedMethod(service, 'author').cacheKeyOf('en'))).isFound).toBe(false);
    const other = await books();
    await other.service.author('en');
    const stored = await other.cache.namespace('authors').get(cachedMethod(other.service, 'author').cacheKeyOf('en'));
    expect(stored.isFound).toBe(true);
    expect((await other.cache.get(cachedMethod(other.service, 'author').cacheKeyOf('en'))).isFound).toBe(false);
  });

  it('refuses a namespace that nobody has declared, at boot', async () => {
    expect(await bootError([TieredCacheModule.forRoot()], [Books])).toMatchObject({ code: 'unknown_namespace' });
  });

  it('passes through when the cache is switched off', async () => {
    const { service } = await books({ enabled: false });
    await service.top('a');
    await service.top('a');
    expect(service.runs).toBe(2);
  });

  it('works without a memory tier', async () => {
    const { service } = await books({ memory: false });
    await service.top('a');
    await service.top('a');
    expect(service.runs).toBe(1);
  });
});

describe('on objects of all kinds', () => {
  abstract class Repository {
    runs = 0;

    @Cached({ tags: ['all'] })
    async find(id: string): Promise<string> {
      this.runs++;
      return `${this.constructor.name}:${id}`;
    }
  }

  @Injectable()
  class BookRepository extends Repository {}

  @Injectable()
  class AuthorRepository extends Repository {
    @Cached()
    override async find(id: string): Promise<string> {
      return `own ${await super.find(id)}`;
    }
  }

  @Injectable()
  class PlainOverride extends Repository {
    override async find(id: string): Promise<string> {
      return super.find(id);
    }
  }

  it('inherited: each subclass has entries of its own, also behind super', async () => {
    const app = await boot([TieredCacheModule.forRoot()], [BookRepository, AuthorRepository, PlainOverride]);
    const [bookRepository, authors, plain] = [
      app.get(BookRepository),
      app.get(AuthorRepository),
      app.get(PlainOverride),
    ];
    for (let i = 0; i < 2; i++) {
      expect(await bookRepository.find('1')).toBe('BookRepository:1');
      expect(await authors.find('1')).toBe('own AuthorRepository:1');
      expect(await plain.find('1')).toBe('PlainOverride:1');
    }
    expect([bookRepository.runs, authors.runs, plain.runs]).toEqual([1, 1, 1]);
    expect(cachedMethod(bookRepository, 'find').cacheKeyOf('1')).toEqual(['BookRepository.find', '1']);
    await cachedMethod(authors, 'find').invalidate('1');
    await authors.find('1');
    // The overriding one was run again, the one behind super was not.
    expect(authors.runs).toBe(1);
    expect(() => cachedMethod(plain, 'find')).toThrow(expect.objectContaining({ code: 'not_cached' }));
  });

  it('request-scoped: the objects share the entries', async () => {
    let made = 0;
    let runs = 0;
    @Injectable({ scope: Scope.REQUEST })
    class Scoped {
      readonly number = ++made;

      @Cached()
      async value(): Promise<number> {
        runs++;
        return this.number;
      }
    }
    const app = await boot([TieredCacheModule.forRoot()], [Scoped]);
    const [one, two] = [
      await app.resolve(Scoped, ContextIdFactory.create()),
      await app.resolve(Scoped, ContextIdFactory.create()),
    ];
    expect(one).not.toBe(two);
    expect(await one.value()).toBe(await two.value());
    expect(runs).toBe(1);
    expect(cachedMethod(two, 'value').peek()).toBe(1);
  });

  it('made with new: the methods run uncached, and the accessors say why', async () => {
    const service = new Books();
    await service.top('a');
    await service.top('a');
    expect(service.runs).toBe(2);
    await expect(service.failing('as thrown')).rejects.toThrow('as thrown');
    const top = cachedMethod(service, 'top');
    const why = { code: 'not_cached', message: expect.stringContaining('Nest did not make it') };
    expect(() => top.cacheKeyOf('a')).toThrow(expect.objectContaining(why));
    expect(() => top.peek('a')).toThrow(expect.objectContaining(why));
    await expect(top.refresh('a')).rejects.toMatchObject(why);
    await expect(top.invalidate('a')).rejects.toMatchObject(why);
    const detached = service.never;
    expect(await detached.call({ runs: 4 } as Books, 'a')).toBe(5);
  });

  it('in a constructor: uncached; an accessor taken there works later', async () => {
    @Injectable()
    class Eager {
      runs = 0;
      readonly own = cachedMethod<Eager, 'value'>(this, 'value');
      readonly first = Promise.all([this.value(), this.value()]);
      readonly refused = this.own.refresh().catch((error: unknown) => error);

      @Cached()
      async value(): Promise<number> {
        return ++this.runs;
      }
    }
    const eager = (await boot([TieredCacheModule.forRoot()], [Eager])).get(Eager);
    expect(await eager.first).toEqual([1, 2]);
    expect(await eager.refused).toMatchObject({ code: 'not_cached' });
    expect([await eager.value(), await eager.value()]).toEqual([3, 3]);
    expect(await eager.own.invalidate()).toBe(true);
    expect(await eager.value()).toBe(4);
  });

  it('in a module without TieredCacheModule: Nest says what is missing', async () => {
    expect((await bootError([{ module: class Lone {}, providers: [Books] }])).message).toMatch(
      /can't resolve dependencies of .*Books.*FunctionRegistry/s,
    );
  });

  it('in any module of the application', async () => {
    @Module({ providers: [Books], exports: [Books] })
    class BooksModule {}
    const app = await boot([TieredCacheModule.forRoot({ namespaces: NAMESPACES }), BooksModule]);
    await app.get(Books).both('a');
    expect(app.get(Books).runs).toBe(1);
  });

  it('in two applications of one process: no crosstalk', async () => {
    const one = await books();
    const two = await books();
    one.service.answer = 'one';
    two.service.answer = 'two';
    expect([await one.service.top('a'), await two.service.top('a')]).toEqual(['one', 'two']);
    expect([await one.service.top('a'), await two.service.top('a')]).toEqual(['one', 'two']);
    expect([one.service.runs, two.service.runs]).toEqual([1, 1]);
    await cachedMethod(one.service, 'top').invalidate('a');
    expect(cachedMethod(one.service, 'top').peek('a')).toBeUndefined();
    expect(cachedMethod(two.service, 'top').peek('a')).toBe('two');
    expect(one.cache.stats().loads + two.cache.stats().loads).toBe(2);
  });
});

describe('names', () => {
  function classNamed(options: CachedOptions = {}): new () => { find(): Promise<string> } {
    @Injectable()
    class Same {
      @Cached(options)
      async find(): Promise<string> {
        return 'found';
      }
    }
    return Same;
  }

  async function both(one: CachedOptions, two: CachedOptions): Promise<string> {
    const [One, Two] = [classNamed(one), classNamed(two)];
    const app = await boot([TieredCacheModule.forRoot({ namespaces: NAMESPACES })], [One, Two]);
    await app.get(One).find();
    return app.get(Two).find();
  }

  it.each<[string, CachedOptions, CachedOptions]>([
    ['two classes of one name', {}, {}],
    ['two of one given name', { name: 'x' }, { name: 'x' }],
    ['the same prefix', { prefix: 'x' }, { prefix: 'x' }],
    ["one's name as the other's prefix", { name: 'x' }, { prefix: 'x', name: 'y' }],
    ["one's prefix as the other's name", { prefix: 'x', name: 'y' }, { name: 'x' }],
  ])('%s are refused at boot, with the mend', async (_name, one, two) => {
    const imports = [TieredCacheModule.forRoot({ namespaces: NAMESPACES })];
    expect(await bootError(imports, [classNamed(one), classNamed(two)])).toMatchObject({
      code: 'duplicate_function',
      message: expect.stringMatching(/Same\.find .* and Same\.find .*give one of them a "name" or "prefix"/s),
    });
  });

  it.each<[string, CachedOptions, CachedOptions]>([
    ['another name', { name: 'x' }, {}],
    ['another prefix', { prefix: 'x' }, { prefix: 'y' }],
    ['another namespace', {}, { namespace: 'authors' }],
  ])('%s keeps them apart', async (_name, one, two) => {
    expect(await both(one, two)).toBe('found');
  });

  it('are asked for where a class has none', async () => {
    const Anonymous = (() =>
      class {
        async find(): Promise<number> {
          return 1;
        }
      })();
    const descriptor = Object.getOwnPropertyDescriptor(Anonymous.prototype, 'find') as PropertyDescriptor;
    (Cached() as MethodDecorator)(Anonymous.prototype, 'find', descriptor);
    Object.defineProperty(Anonymous.prototype, 'find', descriptor);
    const error = await bootError([TieredCacheModule.forRoot()], [{ provide: 'it', useClass: Anonymous }]);
    expect(error).toMatchObject({ code: 'unnamed_class' });
  });
});

describe('cachedMethod() (F16)', () => {
  it('tells the key, peeks, refreshes, invalidates', async () => {
    const { service, cache } = await books();
    const top = cachedMethod(service, 'top');
    expect(top.peek('a')).toBeUndefined();
    service.answer = 1;
    await service.top('a');
    expect(top.peek('a')).toBe(1);
    expect((await cache.get(top.cacheKeyOf('a'))).value).toBe(1);
    service.answer = 2;
    expect(await service.top('a')).toBe(1);
    expect(await top.refresh('a')).toBe(2);
    expect(await service.top('a')).toBe(2);
    expect(top.peek('b')).toBeUndefined();
    expect(await top.invalidate('a')).toBe(true);
    expect(await top.invalidate('a')).toBe(false);
    service.answer = 3;
    expect(await service.top('a')).toBe(3);
    expect(service.runs).toBe(3);
  });

  it('refreshes and invalidates for other processes', async () => {
    const { database } = new MemoryStore();
    const one = await books({ remote: new MemoryStore({ database }) });
    const two = await books({ remote: new MemoryStore({ database }) });
    await one.service.top('a');
    await two.service.top('a');
    two.service.answer = 'newer';
    await cachedMethod(two.service, 'top').refresh('a');
    expect(await one.service.top('a')).toBe('newer');
    await cachedMethod(one.service, 'top').invalidate('a');
    await two.service.top('a');
    expect(two.service.runs).toBe(2);
  });

  it('refuses a method that is not cached', async () => {
    const { service } = await books();
    expect(() => cachedMethod(service, 'both')).toThrow(
      expect.objectContaining({ code: 'not_cached', message: 'Books.both is not cached: put @Cached() on it' }),
    );
    expect(() => cachedMethod(service as never, 'nothing')).toThrow(expect.objectContaining({ code: 'not_cached' }));
  });

  it('knows a method that was replaced on the object, as spies do', async () => {
    const { service } = await books();
    vi.spyOn(service, 'top');
    await service.top('a');
    expect(cachedMethod(service, 'top').peek('a')).toEqual({ list: [1, 2] });
  });
});

describe('what @Cached() refuses when a class is defined', () => {
  const decorate = (target: object, name: string, descriptor?: PropertyDescriptor): void =>
    (Cached() as (...args: unknown[]) => void)(target, name, descriptor);

  it('accessors, static methods and fields', () => {
    class Odd {
      static shared(): void {}

      get now(): number {
        return 1;
      }
    }
    const of = (target: object, name: string): PropertyDescriptor | undefined =>
      Object.getOwnPropertyDescriptor(target, name);
    expect(() => decorate(Odd.prototype, 'now', of(Odd.prototype, 'now'))).toThrow('@Cached() is for methods');
    expect(() => decorate(Odd, 'shared', of(Odd, 'shared'))).toThrow('shared is none');
    expect(() => decorate(Odd.prototype, 'field')).toThrow(TypeError);
  });

  it.each<[object, string, string]>([
    [{ ttl: '5 minutes' }, 'invalid_duration', 'Some.find: ttl'],
    [{ jitter: 2 }, 'invalid_option', 'Some.find: jitter'],
    [{ prefix: '' }, 'invalid_option', 'Some.find.prefix'],
    [{ name: 7 }, 'invalid_option', 'Some.find.name'],
    [{ key: 'id' }, 'invalid_option', 'Some.find.key must be a function'],
    [{ returns: 'stream' }, 'invalid_option', 'Some.find.returns'],
    [{ tags: 'books' }, 'invalid_option', 'Some.find: tags'],
    [{ freshfor: 1 }, 'unknown_option', 'did you mean "freshFor"?'],
  ])('the options %o', (options, code, message) => {
    expect(() => {
      class Some {
        @Cached(options as CachedOptions)
        async find(): Promise<void> {}
      }
      return Some;
    }).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  it('what the compiler refuses', () => {
    class Typed {
      // @ts-expect-error neither a promise nor an Observable
      @Cached()
      now(): number {
        return 1;
      }

      // @ts-expect-error key takes other arguments
      @Cached({ key: (id: number) => id })
      async byName(_name: string): Promise<number> {
        return 1;
      }

      // @ts-expect-error the value is another
      @Cached({ ttl: (value: string) => value.length })
      async count(): Promise<number> {
        return 1;
      }

      @Cached({ key: (id: string) => id, tags: (_value: unknown, [id]: [string]) => [id] })
      async fewer(_id: string, _limit: number): Promise<number> {
        return 1;
      }

      refreshOwn(): Promise<number> {
        return cachedMethod<Typed, 'fewer'>(this, 'fewer').refresh('a', 1);
      }

      wrongArguments(): unknown {
        // @ts-expect-error the method takes a string and a number
        return (): unknown => cachedMethod<Typed, 'fewer'>(this, 'fewer').refresh(1);
      }
    }
    expect(Typed).toBeDefined();
  });
});

describe('a substitute in a test', () => {
  it('is not touched', async () => {
    @Injectable()
    class User {
      constructor(@Inject(Books) readonly books: Books) {}
    }
    const testing = await Test.createTestingModule({
      imports: [TieredCacheModule.forRoot()],
      providers: [User, { provide: Books, useValue: Object.assign(new Books(), { answer: 'fake' }) }],
    }).compile();
    const { books: fake } = testing.get(User);
    expect([await fake.top('a'), await fake.top('a'), fake.runs]).toEqual(['fake', 'fake', 2]);
    await testing.close();
  });
});
