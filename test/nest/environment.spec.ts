import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { applicationVersion } from '../../src/application-version.js';
import { optionsFromEnvironment } from '../../src/index.js';

describe('optionsFromEnvironment', () => {
  it('is empty when nothing is set, or set to nothing', () => {
    expect(optionsFromEnvironment({})).toEqual({});
    expect(optionsFromEnvironment({ CACHE_URL: '', CACHE_TTL_BOOKS: ' ', PATH: '/bin' })).toEqual({});
  });

  it('reads every variable', () => {
    expect(
      optionsFromEnvironment({
        CACHE_URL: 'rediss://app:pw@host:6380/2',
        CACHE_LOCK_URL: 'redis://locks:6379/0',
        CACHE_KEY_PREFIX: 'shop',
        CACHE_KEY_VERSION_STAMP: 's1',
        CACHE_BUILD_ID: 'b7',
        CACHE_DEFAULT_TTL: '45m',
        CACHE_MEMORY_MAX_ENTRIES: '500',
        CACHE_MEMORY_MAX_BYTES: '1000000',
        CACHE_ENABLED: 'TRUE',
        CACHE_TTL_CONTENT_METADATA: '13m',
        CACHE_FRESH_FOR_CONTENT_METADATA: '5000',
        CACHE_TTL_FLAGS: 'forever',
      }),
    ).toEqual({
      remote: 'rediss://app:pw@host:6380/2',
      locks: { store: 'redis://locks:6379/0' },
      prefix: 'shop',
      version: { stamp: 's1', build: 'b7' },
      defaults: { ttl: '45m' },
      memory: { maxEntries: 500, maxBytes: 1_000_000 },
      enabled: true,
      lifetimes: { CONTENT_METADATA: { ttl: '13m', freshFor: 5000 }, FLAGS: { ttl: 'forever' } },
    });
  });

  it.each([
    [{ CACHE_ULR: 'redis://:hunter2@h' }, 'unknown variable CACHE_ULR: did you mean CACHE_URL?'],
    [{ CACHE_MEMORY_MAX_ENTRY: '1' }, 'did you mean CACHE_MEMORY_MAX_ENTRIES?'],
    [{ CACHE_TLL_BOOKS: '1m' }, 'unknown variable CACHE_TLL_BOOKS: did you mean CACHE_TTL_BOOKS?'],
    [{ CACHE_FRSH_FOR_BOOKS: '1m' }, 'did you mean CACHE_FRESH_FOR_BOOKS?'],
    [{ CACHE_SOMETHING_ELSE_ALTOGETHER: 'hunter2' }, 'known are CACHE_URL,'],
    [{ CACHE_URL: 'hunter2' }, 'CACHE_URL must begin with redis://'],
    [{ CACHE_URL: 'memcached://:hunter2@h' }, 'CACHE_URL: no store for memcached yet in this version'],
    [{ CACHE_URL: 'postgres://u:hunter2@h/db' }, 'CACHE_URL: no store for postgres yet'],
    [{ CACHE_URL: 'mysql://u:hunter2@h/db' }, 'CACHE_URL: no store for mysql yet'],
    [{ CACHE_URL: 'sqlite:/tmp/hunter2' }, 'CACHE_URL: no store for sqlite yet'],
    [{ CACHE_DEFAULT_TTL: 'hunter2' }, 'CACHE_DEFAULT_TTL must be milliseconds'],
    [{ CACHE_TTL_BOOKS: '5 minutes' }, 'CACHE_TTL_BOOKS must be milliseconds'],
    [{ CACHE_MEMORY_MAX_ENTRIES: '1e3' }, 'CACHE_MEMORY_MAX_ENTRIES must be a whole number of at least 1'],
    [{ CACHE_ENABLED: 'hunter2' }, 'CACHE_ENABLED must be true, false, 1 or 0'],
    [{ CACHE_SECRETS: 'hunter2' }, 'CACHE_SECRETS: this version has no signing'],
    [{ CACHE_LOCK_URL: 'hunter2' }, 'CACHE_LOCK_URL must begin with redis://'],
    [{ CACHE_LOCK_URL: 'none' }, 'CACHE_LOCK_URL: locks cannot be switched off'],
    [{ CACHE_LOCK_URL: 'postgres://u:hunter2@h/db' }, 'CACHE_LOCK_URL: no store for postgres yet'],
    [{ CACHE_LOCK_ULR: 'redis://:hunter2@h' }, 'unknown variable CACHE_LOCK_ULR: did you mean CACHE_LOCK_URL?'],
  ])('names the variable of %o, never its value', (environment: Record<string, string>, message) => {
    const read = (): unknown => optionsFromEnvironment(environment);
    expect(read).toThrow(message);
    expect(read).not.toThrow('hunter2');
    expect(read).not.toThrow('\n');
  });
});

it('finds the version in the nearest package.json', () => {
  const root = mkdtempSync(join(tmpdir(), 'version-'));
  try {
    const deep = join(root, 'a', 'b');
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(root, 'package.json'), '{"version":"1.2.3"}');
    expect(applicationVersion(deep)).toBe('1.2.3');
    writeFileSync(join(root, 'a', 'package.json'), '{"type":"module"}');
    expect(applicationVersion(deep)).toBeUndefined();
    writeFileSync(join(root, 'a', 'package.json'), 'not json');
    expect(applicationVersion(deep)).toBeUndefined();
  } finally {
    rmSync(root, { recursive: true });
  }
});
