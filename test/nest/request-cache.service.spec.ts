import 'reflect-metadata';
import { AsyncResource } from 'node:async_hooks';
import { Injectable } from '@nestjs/common';
import { inspect } from 'node:util';
import { defer, lastValueFrom, Observable } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import { MAX_SCOPE_ENTRIES, RequestScope } from '../../src/core/tiers/request.scope.js';
import {
  CacheService,
  RequestCacheService,
  TieredCacheModule,
  WithRequestCache,
  runInCacheScope,
} from '../../src/index.js';
import { boot, closeAll } from './boot.js';

afterEach(closeAll);

async function requestCache(options = {}): Promise<RequestCacheService> {
  return (await boot([TieredCacheModule.forRoot(options)])).get(RequestCacheService);
}

describe('RequestCacheService', () => {
  it('does nothing, silently, outside a scope', async () => {
    const request = await requestCache();
    request.set('k', 1);
    expect(request.get('k').isFound).toBe(false);
    expect(request.setDefault('k', 2)).toBe(2);
    expect(request.delete('k')).toBe(false);
    request.clear();
    request.clearAll();
    expect(request.isActive).toBe(false);
  });

  it('is outside of any scope once its application has ended', async () => {
    const app = await boot([TieredCacheModule.forRoot()]);
    const request = app.get(RequestCacheService);
    await request.runInCacheScope(async () => {
      expect(request.isActive).toBe(true);
      await app.close();
      expect(request.isActive).toBe(false);
    });
  });

  it('gets, sets, deletes; what is cached may be undefined', async () => {
    const request = await requestCache();
    request.runInCacheScope(() => {
      expect(request.isActive).toBe(true);
      expect(request.get('k').isFound).toBe(false);
      expect(() => request.get('k').value).toThrow('test isFound first');
      const value = { secret: 'hunter2' };
      request.set(['k', 1], value);
      const hit = request.get(['k', 1]);
      expect(hit.value).toBe(value);
      expect(hit.tier).toBe('request');
      expect(request.get(['k', '1']).isFound).toBe(false);
      expect(inspect(hit) + JSON.stringify(hit) + String(hit)).not.toContain('hunter2');
      request.set('u', undefined);
      expect(request.get('u').isFound).toBe(true);
      expect(request.get('u').value).toBeUndefined();
      expect(request.delete('u')).toBe(true);
      expect(request.delete('u')).toBe(false);
    });
  });

  it('setDefault keeps the first', async () => {
    const request = await requestCache();
    request.runInCacheScope(() => {
      expect(request.setDefault('k', null)).toBeNull();
      expect(request.setDefault<unknown>('k', 2)).toBeNull();
    });
  });

  it('keeps namespaces apart and shares their data between objects', async () => {
    const request = await requestCache();
    request.runInCacheScope(() => {
      request.namespace('a').set('k', 'a');
      request.namespace('b').set('k', 'b');
      request.set('k', 'default');
      expect(request.namespace('a').get('k').value).toBe('a');
      expect(request.namespace('').get('k').value).toBe('default');
      request.namespace('a').clear();
      expect(request.namespace('a').get('k').isFound).toBe(false);
      expect(request.namespace('b').get('k').value).toBe('b');
      request.clear();
      expect(request.get('k').isFound).toBe(false);
      request.clearAll();
      expect(request.namespace('b').get('k').isFound).toBe(false);
    });
    expect(() => request.namespace('default')).toThrow(expect.objectContaining({ code: 'reserved_namespace' }));
  });

  it('clears nothing of the engine and is not cleared by it', async () => {
    const app = await boot([
      TieredCacheModule.forRoot({ remote: 'none', memory: false }),
      TieredCacheModule.forFeature([{ name: 'x' }]),
    ]);
    const app2 = await boot([TieredCacheModule.forRoot()]);
    for (const each of [app, app2]) {
      const request = each.get(RequestCacheService);
      const cache = each.get(CacheService);
      await request.runInCacheScope(async () => {
        request.set('k', 'mine');
        await cache.set('k', 'theirs');
        await cache.clear();
        expect(request.get('k').value).toBe('mine');
        await cache.set('k', 'theirs');
        request.clearAll();
        expect((await cache.get('k')).getValueOrDefault('theirs')).toBe('theirs');
      });
    }
  });
});

describe('scopes', () => {
  it('end when the function has settled, and a fresh one knows nothing', async () => {
    const request = await requestCache();
    let late: Promise<boolean> | undefined;
    const gate = gateOf();
    await request.runInCacheScope(async () => {
      request.set('k', 1);
      await Promise.resolve();
      expect(request.get('k').value).toBe(1);
      request.runInCacheScope(() => {
        expect(request.get('k').isFound).toBe(false);
        request.set('k', 2);
      });
      expect(request.get('k').value).toBe(1);
      late = gate.promise.then(() => request.get('k').isFound || request.isActive);
    });
    gate.resolve();
    expect(await late).toBe(false);
    expect(() =>
      request.runInCacheScope(() => {
        throw new Error('as thrown');
      }),
    ).toThrow('as thrown');
    await expect(request.runInCacheScope(() => Promise.reject(new Error('as rejected')))).rejects.toThrow(
      'as rejected',
    );
  });

  it('the free function serves each application apart', async () => {
    const [one, two] = [await requestCache(), await requestCache()];
    const off = await requestCache({ requestTier: false });
    await runInCacheScope(async () => {
      one.set('k', 1);
      expect(two.get('k').isFound).toBe(false);
      two.set('k', 2);
      await Promise.resolve();
      expect([one.get('k').value, two.get('k').value]).toEqual([1, 2]);
      expect(off.isActive).toBe(false);
      // The innermost scope counts, whichever way it was opened.
      one.runInCacheScope(() => {
        expect(one.get('k').isFound).toBe(false);
        one.set('k', 'inner');
        runInCacheScope(() => expect(one.get('k').isFound).toBe(false));
        expect(one.get('k').value).toBe('inner');
        expect(two.get('k').value).toBe(2);
      });
      expect(one.get('k').value).toBe(1);
    });
    expect(one.isActive).toBe(false);
  });

  it('the engine remembers in them what it read', async () => {
    const app = await boot([TieredCacheModule.forRoot({ memory: false })]);
    const cache = app.get(CacheService);
    await cache.set('k', 1);
    await runInCacheScope(async () => {
      expect((await cache.get('k')).tier).toBe('remote');
      expect((await cache.get('k')).tier).toBe('request');
    });
    expect((await cache.get('k')).tier).toBe('remote');
  });
});

describe('@WithRequestCache()', () => {
  const seen: unknown[] = [];
  const Mark = (value: string) => (_target: object, _name: string | symbol, descriptor: PropertyDescriptor) =>
    Reflect.defineMetadata('mark', value, descriptor.value as object);

  @Injectable()
  class Jobs {
    constructor(readonly request: RequestCacheService) {}

    @WithRequestCache()
    @Mark('kept')
    async run(_first: string, _second: number): Promise<unknown> {
      seen.push(this.request.get('k').isFound);
      this.request.set('k', 1);
      await Promise.resolve();
      return this.request.get('k').value;
    }

    @WithRequestCache()
    other(): boolean {
      return this.request.isActive;
    }

    @WithRequestCache()
    observed(): Observable<unknown> {
      return defer(async () => {
        seen.push(this.request.get('k').isFound);
        this.request.set('k', 1);
        await Promise.resolve();
        return this.request.get('k').value;
      });
    }

    @WithRequestCache()
    endless(): Observable<unknown> {
      return new Observable((subscriber) => {
        this.request.set('k', 1);
        const look = AsyncResource.bind(() => this.request.get('k').isFound);
        subscriber.next(look);
      });
    }
  }

  it('gives each call a scope, and joins one that is open', async () => {
    seen.length = 0;
    const jobs = (await boot([TieredCacheModule.forRoot()], [Jobs])).get(Jobs);
    expect(await jobs.run('a', 1)).toBe(1);
    expect(await jobs.run('a', 1)).toBe(1);
    expect(jobs.other()).toBe(true);
    expect(jobs.request.isActive).toBe(false);
    await jobs.request.runInCacheScope(async () => {
      await jobs.run('a', 1);
      await jobs.run('a', 1);
    });
    expect(seen).toEqual([false, false, false, true]);
  });

  it('gives an Observable a scope for as long as it is subscribed to', async () => {
    seen.length = 0;
    const jobs = (await boot([TieredCacheModule.forRoot()], [Jobs])).get(Jobs);
    const observed = jobs.observed();
    expect([await lastValueFrom(observed), await lastValueFrom(observed)]).toEqual([1, 1]);
    expect(seen).toEqual([false, false]);
    let look = (): unknown => undefined;
    const subscription = jobs.endless().subscribe((value) => (look = value as () => unknown));
    expect(look()).toBe(true);
    subscription.unsubscribe();
    await Promise.resolve();
    expect(look()).toBe(false);
    expect(jobs.request.isActive).toBe(false);
  });

  it('leaves name, length and metadata as they were, and runs without Nest', async () => {
    expect([
      Jobs.prototype.run.name,
      Jobs.prototype.run.length,
      Reflect.getMetadata('mark', Jobs.prototype.run),
    ]).toEqual(['run', 2, 'kept']);
    expect(new Jobs(await requestCache()).other()).toBe(false);
  });

  it('uses the service of the application that made the instance', async () => {
    const one = (await boot([TieredCacheModule.forRoot()], [Jobs])).get(Jobs);
    const two = (await boot([TieredCacheModule.forRoot({ requestTier: false })], [Jobs])).get(Jobs);
    expect([one.other(), two.other()]).toEqual([true, false]);
  });
});

describe('RequestScope', () => {
  it('is bounded: the oldest other namespace goes first, then the oldest entry', () => {
    const scope = new RequestScope();
    scope.keep(scope.entries, 'old', 'k', 1);
    scope.keep(scope.values, 'mine', 'k', 1);
    for (let i = 0; i < MAX_SCOPE_ENTRIES + 5; i++) scope.keep(scope.entries, 'big', String(i), i);
    expect(scope.size).toBe(MAX_SCOPE_ENTRIES);
    expect(scope.entries.has('old')).toBe(false);
    expect(scope.values.has('mine')).toBe(false);
    expect(scope.entries.get('big')?.has('4')).toBe(false);
    expect(scope.entries.get('big')?.has(String(MAX_SCOPE_ENTRIES + 4))).toBe(true);
    scope.end();
    scope.keep(scope.entries, 'a', 'k', 1);
    expect(scope.size).toBe(0);
  });
});

function gateOf(): { promise: Promise<void>; resolve(): void } {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
