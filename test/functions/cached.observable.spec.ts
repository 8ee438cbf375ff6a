import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { EMPTY, NEVER, Observable, firstValueFrom, map, of, range, throwError, timer, toArray } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import { CacheService, Cached, TieredCacheModule, cachedMethod } from '../../src/index.js';
import { boot, closeAll } from '../nest/boot.js';

afterEach(closeAll);

@Injectable()
class Feeds {
  runs = 0;
  subscribed = 0;
  left = 0;

  @Cached()
  typed(url: string): Observable<string> {
    this.runs++;
    return timer(0).pipe(map(() => `feed ${url}`));
  }

  @Cached({ returns: 'observable' })
  untyped(url: string) {
    return of(`${url} ${++this.runs}`);
  }

  @Cached({ returns: 'promise' })
  undeclared(): Observable<number> {
    return of(1);
  }

  @Cached({ returns: 'observable' })
  async promised(): Promise<number> {
    return 1;
  }

  @Cached()
  odd(kind: 'none' | 'many' | 'endless' | 'broken'): Observable<number> {
    const kinds = {
      none: EMPTY,
      many: of(1, 2),
      endless: range(0, Infinity),
      broken: throwError(() => new Error('upstream')),
    };
    return kinds[kind];
  }

  @Cached()
  slow(_url: string): Observable<string> {
    return new Observable((subscriber) => {
      this.subscribed++;
      const inner = NEVER.subscribe(subscriber);
      return () => {
        this.left++;
        inner.unsubscribe();
      };
    });
  }
}

async function feeds(enabled = true): Promise<{ service: Feeds; cache: CacheService }> {
  const app = await boot([TieredCacheModule.forRoot({ enabled })], [Feeds]);
  return { service: app.get(Feeds), cache: app.get(CacheService) };
}

const all = <T>(source: Observable<T>): Promise<T[]> => firstValueFrom(source.pipe(toArray()));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a cached method that returns an Observable', () => {
  it('is recognised by its declared type or by "returns"', async () => {
    const { service } = await feeds();
    expect(service.typed('a')).toBeInstanceOf(Observable);
    expect(await all(service.typed('a'))).toEqual(['feed a']);
    expect(await all(service.typed('a'))).toEqual(['feed a']);
    expect(service.runs).toBe(1);
    expect(await all(service.untyped('a'))).toEqual(['a 2']);
    expect(await all(service.untyped('a'))).toEqual(['a 2']);
  });

  it('gives a cold one: nothing happens before somebody subscribes, and each subscription asks anew', async () => {
    const { service } = await feeds();
    const source = service.untyped('a');
    await turn();
    expect(service.runs).toBe(0);
    expect(await all(source)).toEqual(['a 1']);
    await cachedMethod(service, 'untyped').invalidate('a');
    expect(await all(source)).toEqual(['a 2']);
  });

  it('shares one run among concurrent subscribers', async () => {
    const { service } = await feeds();
    const source = service.typed('a');
    await Promise.all([all(source), all(source), all(service.typed('a'))]);
    expect(service.runs).toBe(1);
  });

  it('has accessors, too', async () => {
    const { service } = await feeds();
    const typed = cachedMethod(service, 'typed');
    const refreshed: string = await typed.refresh('a');
    expect(refreshed).toBe('feed a');
    expect(typed.peek('a')).toBe('feed a');
    expect(typed.cacheKeyOf('a')).toEqual(['Feeds.typed', 'a']);
  });

  it('stops the load when the last subscriber has gone, and not before', async () => {
    const { service } = await feeds();
    const [one, two] = [service.slow('a').subscribe(), service.slow('a').subscribe()];
    await expect.poll(() => service.subscribed).toBe(1);
    one.unsubscribe();
    await turn();
    expect(service.left).toBe(0);
    two.unsubscribe();
    await expect.poll(() => service.left).toBe(1);
  });

  it('stops an uncached load, too', async () => {
    const { service } = await feeds(false);
    const subscription = service.slow('a').subscribe();
    await expect.poll(() => service.subscribed).toBe(1);
    subscription.unsubscribe();
    await expect.poll(() => service.left).toBe(1);
  });

  it.each([
    ['none', 'emitted nothing'],
    ['many', 'emitted more than once'],
    ['endless', 'emitted more than once'],
  ] as const)('fails if it emits %s', async (kind, message) => {
    const { service, cache } = await feeds();
    await expect(all(service.odd(kind))).rejects.toMatchObject({
      code: 'invalid_return',
      message: expect.stringContaining(`Feeds.odd ${message}`),
    });
    expect((await cache.get(cachedMethod(service, 'odd').cacheKeyOf(kind))).isFound).toBe(false);
  });

  it('passes its error on, and that of its key', async () => {
    const { service } = await feeds();
    await expect(all(service.odd('broken'))).rejects.toThrow('upstream');
    await expect(all(service.typed(Symbol('x') as never))).rejects.toMatchObject({ code: 'invalid_key' });
  });

  it('fails clearly where the declaration and the method disagree', async () => {
    const { service } = await feeds();
    await expect(service.undeclared()).rejects.toMatchObject({
      code: 'invalid_return',
      message: "Feeds.undeclared returned an Observable; say so: @Cached({ returns: 'observable' })",
    });
    await expect(all(service.promised() as never)).rejects.toMatchObject({
      code: 'invalid_return',
      message: expect.stringContaining('was to return an Observable'),
    });
  });

  it('is left as it is on an object made with new', async () => {
    const service = new Feeds();
    expect(await all(service.odd('many'))).toEqual([1, 2]);
  });
});
