import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheKey } from '../../src/core/cache.options.js';
import type { CacheService } from '../../src/core/cache.service.js';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { redis } from '../../src/stores/redis/index.js';
import { RedisServer } from '../servers/redis.server.js';

const CODE = '_function_then|(r) => { globalThis.pwned = true; r(1) }';
const VALUES: unknown[] = [
  {
    then: CODE,
    toJSON: CODE,
    nested: [
      '_function_x|() => 1',
      '_date_x',
      '_undefined_',
      '_NaN_',
      '_symbol_x',
      '_duplicate_["a"]',
      '_bigint_abc',
      '_regexp_|(',
    ],
  },
  ':base64:AAAA',
  { value: ':base64:AAAA', expires: 1 },
  JSON.parse('{"a":{"constructor":{"prototype":{"polluted":1}}},"prototype":1,"hasOwnProperty":"x"}'),
  '\0\r\nset pwned 0 0 1\r\nx\r\n',
  '\ud800 lone \udfff',
  { '': 1, 'a.b': 2, '*?[]{}:%_\\': 3, '\0': 4, '\udc00': 5, '0': 6, length: 7 },
  { at: new Date(8.64e15) },
  [undefined, null, Number.NaN, Infinity, -Infinity, -0, 10n ** 30n],
  new Map<unknown, unknown>([[{ a: 1 }, new Set([1n, new Map([[undefined, null]])])]]),
  Buffer.from([0, 255, 10, 13]),
  new Uint16Array([1, 65535]),
  /a\/b"\n/giu,
];
const KEYS: CacheKey[] = [
  '*',
  '?',
  '[a-z]*',
  '{tag}',
  'a:b',
  'a%3ab',
  'a\r\nDEL x',
  '\0',
  'x\0y',
  '\ud800',
  '\udfff',
  '😀',
  '__proto__',
  'constructor',
  '\\',
  '_',
  '%',
  ' ',
  '/x',
  ['x'],
  ['/x'],
  '~',
  '\0~',
  `${'é'.repeat(400)}1`,
  `${'é'.repeat(400)}2`,
];

describe.each(['memory', 'redis'])('hostile input on the %s store', (kind) => {
  let server: RedisServer | undefined;
  const engines: CacheEngine[] = [];
  let writer: CacheService;
  let reader: CacheService;

  beforeAll(async () => {
    const database = new MemoryDatabase();
    if (kind === 'redis') server = await RedisServer.start();
    const store = (): CacheStore => (server ? redis({ url: server.url }) : new MemoryStore({ database }));
    for (let i = 0; i < 2; i++) {
      const engine = new CacheEngine({ store: store() });
      engine.open();
      engines.push(engine);
    }
    [writer, reader] = engines.map((engine) => engine.namespace('default')) as [CacheService, CacheService];
  });

  afterAll(async () => {
    await Promise.all(engines.map((engine) => engine.close()));
    await server?.stop();
  });

  it('values come back exactly, from the loader, from memory and from another process, and run nothing', async () => {
    const prototype = Object.getOwnPropertyNames(Object.prototype).join();
    for (const [i, value] of VALUES.entries()) {
      const loaded = await writer.getOrSet(`value:${i}`, () => value);
      const memory = await writer.get(`value:${i}`);
      const remote = await reader.get(`value:${i}`);
      expect(remote.isFound).toBe(true);
      for (const got of [loaded, memory.value, remote.value])
        expect([i, isDeepStrictEqual(got, value)]).toEqual([i, true]);
      JSON.stringify(memory);
    }
    expect('pwned' in globalThis).toBe(false);
    expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(prototype);
  });

  it('own __proto__ keys are dropped, not grafted', async () => {
    await writer.set('proto', JSON.parse('{"a":1,"__proto__":{"isAdmin":true}}'));
    for (const cache of [writer, reader]) {
      const { value } = await cache.get<{ isAdmin?: boolean }>('proto');
      expect(value).toEqual({ a: 1 });
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      expect(value.isAdmin).toBeUndefined();
    }
  });

  it('keys never meet', async () => {
    await Promise.all(KEYS.map((key, i) => writer.set(key, i)));
    expect((await reader.getMany(KEYS)).map((hit) => hit.value)).toEqual(KEYS.map((_, i) => i));
    expect((await writer.getMany(KEYS)).map((hit) => hit.value)).toEqual(KEYS.map((_, i) => i));
    await reader.delete(KEYS[0] as CacheKey);
    expect((await reader.getMany(KEYS)).map((hit) => hit.isFound)).toEqual(KEYS.map((_, i) => i > 0));
  });

  it('functions, symbols and cycles are refused with their path, and nothing is stored', async () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    for (const [value, path] of [
      [{ a: [{ f: () => 1 }] }, 'a[0].f'],
      [{ s: Symbol('x') }, 's'],
      [cycle, 'self'],
    ] as const) {
      await expect(writer.set('bad', value)).rejects.toThrow(path);
      await expect(writer.getOrSet('bad', () => value)).rejects.toMatchObject({ code: 'unsupported_value' });
    }
    expect(await writer.has('bad')).toBe(false);
    expect(await writer.getOrSet('bad', () => 'good')).toBe('good');
  });
});
