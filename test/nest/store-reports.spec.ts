import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { CacheService, MemoryStore, StoreUnavailableError, TieredCacheModule } from '../../src/index.js';
import { until } from '../faults/subject.js';
import { boot, closeAll } from './boot.js';

/** Answers as it is told. */
class MoodyStore extends MemoryStore {
  failure: Error | undefined;

  override async read(keys: readonly string[]): Promise<Array<Uint8Array | undefined>> {
    if (this.failure) throw this.failure;
    return super.read(keys);
  }

  override async now(): Promise<number> {
    if (this.failure) throw this.failure;
    return super.now();
  }
}

let told: string[] = [];

beforeEach(() => {
  told = [];
  for (const level of ['warn', 'log'] as const)
    vi.spyOn(Logger.prototype, level).mockImplementation((message: unknown) => {
      if (String(message).startsWith('the memory store')) told.push(`${level}: ${String(message)}`);
    });
});
afterEach(async () => {
  await closeAll();
  vi.restoreAllMocks();
});

async function subject(): Promise<{ store: MoodyStore; ask: (times: number) => Promise<void> }> {
  const store = new MoodyStore();
  const cache = (await boot([TieredCacheModule.forRoot({ remote: () => store })])).get(CacheService);
  const ask = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) expect((await cache.get(`key ${i}`)).isFound).toBe(false);
  };
  return { store, ask };
}

it('says once that the store does not answer, and when it does again', async () => {
  const { store, ask } = await subject();
  await ask(3);
  store.failure = new Error('connect ECONNREFUSED redis://user:secret@host');
  await ask(50);
  expect(told).toEqual([
    expect.stringMatching(/^warn: the memory store does not answer \(connection\): until it does/),
  ]);
  store.failure = undefined;
  await until(async () => told.length > 1, 5000);
  expect(told[1]).toMatch(/^log: the memory store answers again, after \d+ ms$/);
  expect(told.join()).not.toContain('secret');
});

it('says that the store refuses, and not each time', async () => {
  const { store, ask } = await subject();
  store.failure = new StoreUnavailableError('memory', 'read', 'refused');
  await ask(50);
  expect(told).toEqual([expect.stringMatching(/^warn: the memory store has refused "now": is it full, read-only, or/)]);
});
