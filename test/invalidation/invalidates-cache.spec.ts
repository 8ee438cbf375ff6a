import 'reflect-metadata';
import { Injectable, Logger, SetMetadata, type Type } from '@nestjs/common';
import { defer, firstValueFrom, lastValueFrom, NEVER, Observable, of, throwError } from 'rxjs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  CacheService,
  defineEntity,
  entityTags,
  InvalidatesCache,
  MemoryStore,
  TieredCacheModule,
  type EntityChange,
  type InvalidatesCacheOptions,
  type TieredCacheOptions,
} from '../../src/index.js';
import { boot, bootError, closeAll } from '../nest/boot.js';
import { RedisServer } from '../servers/redis.server.js';

afterEach(() => {
  vi.restoreAllMocks();
  return closeAll();
});

interface Book {
  id: number;
}

/** An application with a provider, and what tells whether entries are still there. */
async function application<T extends object>(type: Type<T>, options: TieredCacheOptions = {}) {
  const app = await boot([TieredCacheModule.forRoot(options)], [type]);
  const cache = app.get(CacheService);
  const store = async (key: string, ...tags: string[]): Promise<void> => void (await cache.set(key, 1, { tags }));
  const left = async (...keys: string[]): Promise<string[]> => {
    const there = await Promise.all(keys.map((key) => cache.has(key)));
    return keys.filter((_, i) => there[i]);
  };
  return { subject: app.get(type), cache, store, left };
}

@Injectable()
class Books {
  async untouched(): Promise<void> {}

  @InvalidatesCache({ tags: (book: Book, [id]: [number]) => [`book:${book.id}`, `asked:${id}`] })
  async rename(id: number): Promise<Book> {
    return { id: id + 1 };
  }

  @InvalidatesCache({ tags: ['all'] })
  async fails(): Promise<never> {
    throw new RangeError('its own');
  }

  @InvalidatesCache({ keys: [['book', 1], 'plain'], tags: ['all'] })
  async several(): Promise<void> {}

  @InvalidatesCache({ tags: ['one'] })
  @SetMetadata('mine', 7)
  @InvalidatesCache({ tags: ['two'] })
  async twice(): Promise<void> {}

  @InvalidatesCache({ tags: ['gone'], when: 'before' })
  async before(check: () => Promise<unknown>): Promise<unknown> {
    return check();
  }

  prefix = 'own';

  @InvalidatesCache({
    tags(this: Books) {
      return [this.prefix];
    },
  })
  async byThis(): Promise<void> {}
}

let subscriptions = 0;

@Injectable()
class Streams {
  @InvalidatesCache({ tags: (last: number) => [`last:${last}`] })
  values(source: Observable<number>): Observable<number> {
    return source;
  }

  @InvalidatesCache({ tags: ['gone'], when: 'before' })
  before(check: () => Promise<unknown>): Observable<unknown> {
    return defer(() => {
      subscriptions++;
      return check();
    });
  }

  @InvalidatesCache({ tags: ['late'] })
  async promised(): Promise<Observable<number>> {
    return of(1);
  }
}

describe('@InvalidatesCache()', () => {
  it('invalidates what its functions make of result and arguments, when the method has succeeded', async () => {
    const { subject, store, left } = await application(Books);
    await store('a', 'book:2');
    await store('b', 'asked:1');
    await store('c', 'book:1');
    expect(await subject.rename(1)).toEqual({ id: 2 });
    expect(await left('a', 'b', 'c')).toEqual(['c']);
  });

  it('invalidates nothing when the method has failed, and leaves its error alone', async () => {
    const { subject, store, left } = await application(Books);
    await store('a', 'all');
    await expect(subject.fails()).rejects.toThrow(RangeError);
    expect(await left('a')).toEqual(['a']);
  });

  it('removes keys', async () => {
    const { subject, cache, store, left } = await application(Books);
    await cache.set(['book', 1], 1);
    await cache.set(['book', 2], 1);
    await store('plain');
    await store('a', 'all');
    await subject.several();
    expect(await left('plain', 'a')).toEqual([]);
    expect([await cache.has(['book', 1]), await cache.has(['book', 2])]).toEqual([false, true]);
  });

  it('adds up on one method, and keeps the metadata of others', async () => {
    const { subject, store, left } = await application(Books);
    await store('a', 'one');
    await store('b', 'two');
    await subject.twice();
    expect(await left('a', 'b')).toEqual([]);
    expect(Reflect.getMetadata('mine', Books.prototype.twice)).toBe(7);
    expect(Books.prototype.rename.name).toBe('rename');
    expect(Books.prototype.rename.length).toBe(1);
  });

  it('invalidates before the method, whatever becomes of it, on request', async () => {
    const { subject, store, left } = await application(Books);
    await store('a', 'gone');
    expect(await subject.before(() => left('a'))).toEqual([]);
    await store('a', 'gone');
    await expect(subject.before(() => Promise.reject(new Error('later')))).rejects.toThrow('later');
    expect(await left('a')).toEqual([]);
  });

  it('calls functions with the `this` of the method', async () => {
    const { subject, store, left } = await application(Books);
    await store('a', 'own');
    await subject.byThis();
    expect(await left('a')).toEqual([]);
  });

  it('a method that was inherited, or is called through super, invalidates once more where it is overridden with another', async () => {
    @Injectable()
    class Special extends Books {
      @InvalidatesCache({ tags: ['special'] })
      override async rename(id: number): Promise<Book> {
        return super.rename(id);
      }
    }
    const { subject, store, left } = await application(Special);
    await store('a', 'special');
    await store('b', 'book:2');
    await store('c', 'all');
    await subject.rename(1);
    await subject.several();
    expect(await left('a', 'b', 'c')).toEqual([]);
  });

  it('on an object that Nest did not make the method just runs', async () => {
    expect(await new Books().rename(1)).toEqual({ id: 2 });
  });

  it('two applications in one process do not meet', async () => {
    const one = await application(Books);
    const other = await application(Books);
    await one.store('a', 'all');
    await other.store('a', 'all');
    await one.subject.several();
    expect([await one.left('a'), await other.left('a')]).toEqual([[], ['a']]);
  });

  it('a client that reads as soon as it was answered reads anew, also what was being loaded', async () => {
    const { subject, cache } = await application(Books);
    let value = 'old';
    let finish = (): void => undefined;
    const begun = new Promise<void>((resolve) => {
      const slow = async (): Promise<string> => {
        const seen = value;
        resolve();
        await new Promise<void>((go) => (finish = go));
        return seen;
      };
      void cache.getOrSet('page', slow, { tags: ['all'] });
    });
    await begun;
    value = 'new';
    await subject.several();
    finish();
    expect(await cache.getOrSet('page', () => value, { tags: ['all'] })).toBe('new');
  });
});

describe('the caller', () => {
  class HeldStore extends MemoryStore {
    acknowledge!: () => void;
    private readonly told = new Promise<void>((resolve) => (this.acknowledge = resolve));

    override async rotate(names: readonly string[]): Promise<string[]> {
      await this.told;
      return super.rotate(names);
    }
  }

  it.each([
    ['a promise', (subject: Books) => subject.several()],
    ['before', (subject: Books) => subject.before(async () => 'ran')],
  ])('%s: is not told before the store has acknowledged', async (_which, call) => {
    const store = new HeldStore();
    const { subject } = await application(Books, { remote: store, deadline: '30s' });
    let isTold = false;
    const told = call(subject).then(() => (isTold = true));
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    expect(isTold).toBe(false);
    store.acknowledge();
    await told;
  });

  it('of an Observable hears of its end only then', async () => {
    const store = new HeldStore();
    const { subject } = await application(Streams, { remote: store, deadline: '30s' });
    const heard: unknown[] = [];
    const ended = new Promise<void>((resolve) => {
      subject.values(of(1, 2)).subscribe({
        next: (value) => heard.push(value),
        complete: () => resolve(void heard.push('end')),
      });
    });
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    expect(heard).toEqual([1, 2]);
    store.acknowledge();
    await ended;
    expect(heard).toEqual([1, 2, 'end']);
  });
});

describe('entities', () => {
  const Course = defineEntity('Course', { filters: [['level']] });

  @Injectable()
  class Courses {
    @InvalidatesCache({ entities: [{ entity: 'Course', id: (course: Book) => course.id }] })
    async edit(id: number): Promise<Book> {
      return { id };
    }

    @InvalidatesCache({ entities: [{ entity: 'Course' }] })
    async import(): Promise<void> {}

    @InvalidatesCache({
      entities: (_course: Book, [id, level]: [number, string]): EntityChange => ({
        entity: 'Course',
        kind: 'insert',
        id,
        after: { level },
      }),
    })
    async create(id: number, _level: string): Promise<Book> {
      return { id };
    }
  }

  const fill = async ({ store }: Awaited<ReturnType<typeof application>>): Promise<void> => {
    await store('1', ...entityTags('Course', 1));
    await store('2', ...entityTags('Course', 2));
    await store('count', ...entityTags('Course'));
    await store('easy', ...Course.listTags({ ids: [2], where: { level: 'easy' } }));
    await store('hard', ...Course.listTags({ ids: [3], where: { level: 'hard' } }));
  };
  const ALL = ['1', '2', 'count', 'easy', 'hard'];

  it('by id: the row and the lists; without: everything of it', async () => {
    const app = await application(Courses, { entities: [Course] });
    await fill(app);
    await app.subject.edit(1);
    expect(await app.left(...ALL)).toEqual(['2']);
    await fill(app);
    await app.subject.import();
    expect(await app.left(...ALL)).toEqual([]);
  });

  it('by a function that says more: only the lists that it touches', async () => {
    const app = await application(Courses, { entities: [Course] });
    await fill(app);
    await app.subject.create(9, 'hard');
    expect(await app.left(...ALL)).toEqual(['1', '2', 'easy']);
  });
});

describe('Observables', () => {
  it('invalidates on completion by the last value, and completes after it', async () => {
    const { subject, store, left } = await application(Streams);
    await store('a', 'last:2');
    await store('b', 'last:1');
    expect(await lastValueFrom(subject.values(of(1, 2)))).toBe(2);
    expect(await left('a', 'b')).toEqual(['b']);
  });

  it('neither on an error nor when who listens leaves', async () => {
    const { subject, store, left } = await application(Streams);
    await store('a', 'last:undefined');
    await store('b', 'last:1');
    await expect(lastValueFrom(subject.values(throwError(() => new RangeError('its own'))))).rejects.toThrow(
      RangeError,
    );
    const never = new Observable<number>((subscriber) => {
      subscriber.next(1);
      return NEVER.subscribe();
    });
    expect(await firstValueFrom(subject.values(never))).toBe(1);
    expect(await left('a', 'b')).toEqual(['a', 'b']);
  });

  it('before: at each subscription, and the method not until then', async () => {
    const { subject, store, left } = await application(Streams);
    const observable = subject.before(() => left('a'));
    await store('a', 'gone');
    expect(subscriptions).toBe(0);
    expect(await lastValueFrom(observable)).toEqual([]);
    expect(subscriptions).toBe(1);
  });

  it('a promise of an Observable is one, too', async () => {
    const { subject, store, left } = await application(Streams);
    await store('a', 'late');
    const observable = await subject.promised();
    expect(await left('a')).toEqual(['a']);
    await lastValueFrom(observable);
    expect(await left('a')).toEqual([]);
  });
});

describe('what cannot be', () => {
  const declare = (options: unknown): (() => void) => {
    return () => {
      class Wrong {
        async edit(): Promise<void> {}
      }
      const descriptor = Object.getOwnPropertyDescriptor(Wrong.prototype, 'edit') as never;
      InvalidatesCache(options as InvalidatesCacheOptions)(Wrong.prototype, 'edit', descriptor);
    };
  };

  it.each([
    [{}, 'invalid_option', '@InvalidatesCache() of Wrong.edit says nothing of what is to be invalidated'],
    [{ tag: ['a'] }, 'unknown_option', 'did you mean "tags"?'],
    [{ tags: 'a' }, 'invalid_option', 'Wrong.edit.tags must be an array; got a string'],
    [{ tags: [7] }, 'invalid_option', 'tags[0] must be a string; got the number 7'],
    [{ keys: [7] }, 'invalid_option', 'keys[0] must be a key: a string or an array of parts; got the number 7'],
    [{ keys: [['a', Symbol('x')]] }, 'invalid_key', 'key[1]'],
    [{ entities: [{ id: 1 }] }, 'invalid_option', 'entities[0].entity must be given'],
    [{ entities: [{ entity: 'a b' }] }, 'invalid_entity', 'without white space'],
    [{ entities: 'Course' }, 'invalid_option', 'must be a function; got a string'],
    [{ tags: ['a'], when: 'later' }, 'invalid_option', "when must be one of 'after', 'before'"],
    [{ tags: ['a'], namespace: 1 }, 'invalid_option', 'namespace must be a string'],
  ])('%j stops the definition', (options, code, message) => {
    expect(declare(options)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  it('is for methods of objects', () => {
    class Wrong {}
    expect(() => InvalidatesCache({ tags: ['a'] })(Wrong, 'x', {} as never)).toThrow(TypeError);
  });

  it.each([
    [{ keys: ['a'], namespace: 'nowhere' }, 'unknown_namespace'],
    [{ prefixes: [['nothing']] }, 'undeclared_prefix'],
  ] as const)('%j stops the boot', async (options, code) => {
    @Injectable()
    class Wrong {
      @InvalidatesCache(options)
      async edit(): Promise<void> {}
    }
    @Injectable()
    class Inheriting extends Wrong {}
    expect(
      await bootError([TieredCacheModule.forRoot(), { module: class Feature {}, providers: [Inheriting] }]),
    ).toMatchObject({ code });
  });

  it('prefixes and keys of another namespace', async () => {
    @Injectable()
    class Elsewhere {
      @InvalidatesCache({ namespace: 'lists', prefixes: [['course']], keys: ['single'] })
      async edit(): Promise<void> {}
    }
    const { subject, cache } = await application(Elsewhere, {
      namespaces: [{ name: 'lists', prefixes: [['course']] }],
    });
    const lists = cache.namespace('lists');
    await lists.set(['course', 1], 1);
    await lists.set('single', 1);
    await cache.set('single', 1);
    await subject.edit();
    expect([await lists.has(['course', 1]), await lists.has('single'), await cache.has('single')]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('a function that throws is a clear error, and what the others say is invalidated', async () => {
    @Injectable()
    class Wrong {
      @InvalidatesCache({
        tags: (book: Book) => [`book:${(book as unknown as { secret: { id: number } }).secret.id}`],
        keys: ['a'],
      })
      async edit(): Promise<Book> {
        return { id: 1 };
      }

      @InvalidatesCache({ tags: () => 'book' as never, keys: ['a'] })
      async badly(): Promise<void> {}

      @InvalidatesCache({ entities: [{ entity: 'Course', id: () => undefined as never }] })
      async forgot(): Promise<void> {}

      @InvalidatesCache({ entities: () => ({ entity: 'Course', kind: 'changed', id: 1 }) as never })
      async oddly(): Promise<void> {}

      @InvalidatesCache({
        entities: [
          { entity: 'Teacher', id: (_none: void) => (undefined as unknown as { id: number }).id },
          { entity: 'Course', id: 42 },
        ],
      })
      async half(): Promise<void> {}

      @InvalidatesCache({
        entities: () => [
          { entity: 'Course', kind: 'update', id: Number.NaN },
          { entity: 'Teacher', kind: 'update', id: 7 },
        ],
      })
      async halfKnown(): Promise<void> {}
    }
    const { subject, store, left } = await application(Wrong);
    await store('a');
    const error = (await subject.edit().catch((found: unknown) => found)) as Error;
    expect(error).toMatchObject({
      code: 'failed_invalidation',
      message: expect.stringContaining('@InvalidatesCache() of Wrong.edit: tags() has thrown a TypeError') as string,
      cause: expect.any(TypeError) as Error,
    });
    expect(await left('a')).toEqual([]);
    await store('a');
    await expect(subject.badly()).rejects.toThrow('Wrong.badly.tags() must be an array; got a string');
    expect(await left('a')).toEqual([]);
    // Which row it was is not known: all of them.
    for (const call of ['forgot', 'half', 'halfKnown'] as const) {
      await store('course', ...entityTags('Course', 42));
      await store('teacher', ...entityTags('Teacher', 7));
      await expect(subject[call]()).rejects.toThrow(/must be the id of a row; got|entities\[0\]\.id\(\) has thrown/);
      expect(await left('course', 'teacher')).toEqual(call === 'forgot' ? ['teacher'] : []);
    }
    await expect(subject.oddly()).rejects.toThrow('entities().kind must be one of insert, update, delete, table');
  });

  it('an outage of the store does not turn success into failure', { timeout: 60_000 }, async () => {
    await using server = await RedisServer.start();
    const { subject } = await application(Books, { remote: server.url, deadline: 2000 });
    await subject.rename(1);
    await server.kill();
    expect(await subject.rename(1)).toEqual({ id: 2 });
  });

  it('nor where invalidations are not to wait for it: that is logged, by number and not by name', async () => {
    const warned = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await using server = await RedisServer.start();
    const { subject } = await application(Books, {
      remote: server.url,
      deadline: 2000,
      defaults: { whenDown: 'reject' },
    });
    await subject.rename(1);
    await server.kill();
    expect(await subject.rename(1)).toEqual({ id: 2 });
    expect(warned.mock.calls.flat()).toEqual([
      expect.stringMatching(
        /^@InvalidatesCache\(\) of Books\.rename: 2 invalidations could not be sent: the redis store/,
      ),
    ]);
    expect(JSON.stringify(warned.mock.calls)).not.toContain('book:');
  });
});
