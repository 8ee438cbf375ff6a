import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { CacheService, Cached, TieredCacheModule, cachedMethod, type KeyPart } from '../../src/index.js';
import { boot, closeAll } from '../nest/boot.js';

afterEach(closeAll);

@Injectable()
class Shelf {
  readonly calls: unknown[][] = [];
  tenant = 'a';

  @Cached()
  async find(...args: unknown[]): Promise<number> {
    return this.calls.push(args);
  }

  @Cached()
  async page(_author: string, _page = 1, _size?: number): Promise<number> {
    return this.calls.push([]);
  }

  @Cached()
  async nothing(): Promise<number> {
    return this.calls.push([]);
  }

  @Cached({ prefix: 'Shelf', name: 'top' })
  async named(id: string): Promise<number> {
    return this.calls.push([id]);
  }

  @Cached({
    key(this: Shelf, request: Request, page: number): KeyPart[] {
      return [this.tenant, new URL(request.url).pathname, page];
    },
  })
  async rewritten(_request: Request, _page: number, _log?: () => void): Promise<number> {
    return this.calls.push([]);
  }

  @Cached({
    key(this: Shelf, id: string): KeyPart[] {
      return [this.tenant, id];
    },
  })
  async ofTenant(_id: string): Promise<number> {
    return this.calls.push([]);
  }

  @Cached({ key: (request: Request) => request.url })
  async one(_request: Request): Promise<number> {
    return this.calls.push([]);
  }

  @Cached({ key: (id: string) => (id === 'forgotten' ? undefined : new Date(Number.NaN)) })
  async badKey(_id: string): Promise<number> {
    return this.calls.push([]);
  }
}

async function shelf(): Promise<Shelf> {
  return (await boot([TieredCacheModule.forRoot()], [Shelf])).get(Shelf);
}

/** Whether two calls are one to the cache. */
async function share(one: unknown[], other: unknown[]): Promise<boolean> {
  const service = await shelf();
  const first = await service.find(...one);
  // Twice, since remembered keys take another way.
  expect(await service.find(...one)).toBe(first);
  const second = await service.find(...other);
  expect(await service.find(...other)).toBe(second);
  expect(await service.find(...one)).toBe(first);
  return first === second;
}

describe('the key of a call (F15)', () => {
  it.each<[string, unknown[], unknown[]]>([
    ["f('a:b') and f('a', 'b')", ['a:b'], ['a', 'b']],
    ["f('a/b') and f('a', 'b')", ['a/b'], ['a', 'b']],
    ["f(['a', 'b']) and f('a', 'b')", [['a', 'b']], ['a', 'b']],
    ["f(1) and f('1')", [1], ['1']],
    ['f(1) and f(1n)', [1], [1n]],
    ["f('a', 'b') and f('a')", ['a', 'b'], ['a']],
    ['f(1, 2) and f(1)', [1, 2], [1]],
    ["f(true) and f('true')", [true], ['true']],
    ['f(null) and f()', [null], []],
    ["f('undefined') and f()", ['undefined'], []],
    ["f('') and f()", [''], []],
    ['f(undefined, 1) and f(1)', [undefined, 1], [1]],
    ['f({ x: 1 }) and f({ x: 2 })', [{ x: 1 }], [{ x: 2 }]],
    ['f({ x: undefined }) and f({})', [{ x: undefined }], [{}]],
    ['f(date) and f(its text)', [new Date(0)], [new Date(0).toISOString()]],
    ['two long texts that differ at the end', [`${'x'.repeat(200)}a`], [`${'x'.repeat(200)}b`]],
  ])('differs for %s', async (_name, one, other) => {
    expect(await share(one, other)).toBe(false);
  });

  it.each<[string, unknown[], unknown[]]>([
    ['f({ x, y }) and f({ y, x })', [{ x: 1, y: 2 }], [{ y: 2, x: 1 }]],
    ['f({ a: { x, y } }) and f({ a: { y, x } })', [{ a: { x: 1, y: 2 } }], [{ a: { y: 2, x: 1 } }]],
    ['f() and f(undefined)', [], [undefined]],
    ['f(1) and f(1, undefined)', [1], [1, undefined]],
    ['equal dates', [new Date(5)], [new Date(5)]],
    ['long texts', ['x'.repeat(200)], ['x'.repeat(200)]],
  ])('is the same for %s', async (_name, one, other) => {
    expect(await share(one, other)).toBe(true);
  });

  it('is the same for a parameter left out and undefined, be there a default or not', async () => {
    const service = await shelf();
    const first = await service.page('a');
    expect(await service.page('a', undefined)).toBe(first);
    expect(await service.page('a', undefined, undefined)).toBe(first);
    expect(await service.page('a', 2)).not.toBe(first);
    expect(await service.page('a', undefined, 2)).not.toBe(first);
  });

  it('does not depend on what a framework passes to a method that declares no parameter', async () => {
    const service = await shelf();
    const first = await service.nothing();
    const called = service.nothing as (...args: unknown[]) => Promise<number>;
    expect(await called.call(service, new Request('http://x/'), 'b')).toBe(first);
    expect(await called.call(service, 'c')).toBe(first);
  });

  it('starts with the class and the method, or with prefix and name', async () => {
    const service = await shelf();
    expect(cachedMethod(service, 'find').cacheKeyOf('a', 1)).toEqual(['Shelf.find', 'a', 1]);
    expect(cachedMethod(service, 'named').cacheKeyOf('a')).toEqual(['Shelf', 'top', 'a']);
  });

  it('is one that the CacheService knows, and prefix one of its prefixes', async () => {
    const app = await boot(
      [TieredCacheModule.forRoot({ namespaces: [{ name: 'default', prefixes: [['Shelf']] }] })],
      [Shelf],
    );
    const [service, cache] = [app.get(Shelf), app.get(CacheService)];
    expect(await service.named('a')).toBe(1);
    expect((await cache.get(['Shelf', 'top', 'a'])).value).toBe(1);
    await cache.deleteByPrefix(['Shelf']);
    expect(await service.named('a')).toBe(2);
  });

  it('remembers no more than it may and forgets nothing that matters', async () => {
    const service = await shelf();
    for (let i = 0; i < 5000; i++) await service.named(`id-${i}`);
    expect(service.calls).toHaveLength(5000);
    for (const i of [0, 1, 2500, 4999]) expect(await service.named(`id-${i}`)).toBe(i + 1);
    expect(service.calls).toHaveLength(5000);
  });
});

describe('arguments that cannot be part of a key (F15)', () => {
  class Token {
    readonly secret = 'hunter2';
  }

  it.each<[string, unknown[], string]>([
    ['an instance', ['a', new Request('http://x/')], 'argument 2 of Shelf.find is an instance of Request;'],
    [
      'one inside an object',
      [{ user: { token: new Token() } }],
      'argument 1.user.token of Shelf.find is an instance of Token;',
    ],
    ['a function', [1, 2, () => undefined], 'argument 3 of Shelf.find is a function;'],
    ['a symbol', [Symbol('x')], 'argument 1 of Shelf.find is a symbol;'],
    ['NaN', [Number.NaN], 'argument 1 of Shelf.find is NaN;'],
    ['a Map', [new Map()], 'argument 1 of Shelf.find is an instance of Map;'],
    // What is so named is not seen: all conditions would share one entry.
    [
      'a condition of Sequelize',
      [{ age: { [Symbol.for('gt')]: 5 } }],
      'argument 1.age of Shelf.find is an object with a symbol for a name;',
    ],
    ['too much text', ['x'.repeat(10_000), 'x'.repeat(10_000)], 'the arguments of Shelf.find: key is 200'],
  ])('%s is refused with its position and without its value', async (_name, args, message) => {
    const service = await shelf();
    const error = await service.find(...args).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'invalid_key', message: expect.stringContaining(message) });
    expect((error as Error).message).not.toContain('hunter2');
    expect(service.calls).toEqual([]);
    expect(() => cachedMethod(service, 'find').cacheKeyOf(...args)).toThrow(message);
  });

  it('are accepted once "key" says what of them counts; it is called with this and sees all of them', async () => {
    const service = await shelf();
    const first = await service.rewritten(new Request('http://x/a?1'), 1, () => undefined);
    expect(await service.rewritten(new Request('http://y/a?2'), 1)).toBe(first);
    expect(await service.rewritten(new Request('http://x/a'), 2)).not.toBe(first);
    service.tenant = 'b';
    expect(await service.rewritten(new Request('http://x/a?1'), 1)).not.toBe(first);
    expect(cachedMethod(service, 'rewritten').cacheKeyOf(new Request('http://x/a'), 1)).toEqual([
      'Shelf.rewritten',
      'b',
      '/a',
      1,
    ]);
    expect(cachedMethod(service, 'one').cacheKeyOf(new Request('http://x/a'))).toEqual(['Shelf.one', 'http://x/a']);
  });

  it('are rewritten anew for each call', async () => {
    const service = await shelf();
    const first = await service.ofTenant('1');
    expect(await service.ofTenant('1')).toBe(first);
    service.tenant = 'b';
    expect(await service.ofTenant('1')).not.toBe(first);
    service.tenant = 'a';
    expect(await service.ofTenant('1')).toBe(first);
  });

  it('are not got round by a key function that gives nothing, or nothing usable', async () => {
    const service = await shelf();
    await expect(service.badKey('forgotten')).rejects.toMatchObject({
      code: 'invalid_key',
      message: expect.stringContaining('key() of Shelf.badKey returned undefined'),
    });
    await expect(service.badKey('date')).rejects.toThrow('part 1 of key() of Shelf.badKey is an invalid Date');
    expect(service.calls).toEqual([]);
  });
});
