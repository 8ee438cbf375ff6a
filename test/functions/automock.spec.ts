import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { of, firstValueFrom, type Observable } from 'rxjs';
import { expect, it } from 'vitest';
import { Cached, cachedMethod, InvalidatesCache, WithRequestCache } from '../../src/index.js';

@Injectable()
class Books {
  runs = 0;

  @Cached()
  async one(id: number): Promise<string> {
    return `${id}: run ${++this.runs}`;
  }

  @Cached({ returns: 'observable' })
  watched(id: number): Observable<string> {
    return of(`${id}: run ${++this.runs}`);
  }

  @InvalidatesCache({ tags: ['books'] })
  async rename(): Promise<string> {
    return 'renamed';
  }

  @WithRequestCache()
  async job(): Promise<string> {
    return 'done';
  }
}

/** As @golevelup/ts-jest and jest-mock do: any method there could be, which does nothing. */
function automock(): object {
  return new Proxy({}, { get: (_target, name) => (name === 'then' ? undefined : () => undefined) });
}

it('a method runs as it is, uncached, where a test puts substitutes for all that it does not name', async () => {
  const testing = await Test.createTestingModule({ providers: [Books] })
    .useMocker(automock)
    .compile();
  const books = testing.get(Books);
  expect([await books.one(1), await books.one(1)]).toEqual(['1: run 1', '1: run 2']);
  expect(await firstValueFrom(books.watched(1))).toBe('1: run 3');
  expect(await books.rename()).toBe('renamed');
  expect(await books.job()).toBe('done');
  expect(() => cachedMethod(books, 'one').peek(1)).toThrow(expect.objectContaining({ code: 'not_cached' }));
});
