import assert from 'node:assert/strict';
import { promiseFences } from './lock-conformance.fences.js';
import { promiseOwners } from './lock-conformance.owners.js';
import { promiseQueue } from './lock-conformance.queue.js';
import { promiseRecords } from './lock-conformance.records.js';
import { LockWorld, type LockConformanceOptions, type LockPromised } from './lock-conformance.subject.js';

/**
 * Tests a lock store against the contract, one named test per promise. Needs no test framework of its own: it is given the runner's
 * functions.
 * @example
 * import { describe, it } from 'vitest';
 * lockStoreConformance({ describe, it, name: 'my locks', create: () => ({ store: () => new MyLocks(url), close: () => wipe(url) }) });
 */
export function lockStoreConformance(options: LockConformanceOptions): void {
  const lacks = new Set(options.lacks);
  const it: LockPromised = (name, body) =>
    options.it(name, async () => {
      const world = new LockWorld(await options.create(), options.slackMs ?? 0);
      try {
        await body(world);
      } finally {
        await world.close();
      }
    });

  options.describe(options.name ?? 'lock store', () => {
    it('declares what it can do, and what it does to what it keeps', async (world) => {
      const store = world.session();
      assert.match(store.name, /^[a-z][a-z0-9-]*$/);
      for (const capability of ['fencing', 'queue'] as const)
        assert.equal(store.capabilities[capability], !lacks.has(capability), `capability "${capability}"`);
      const { evicts } = await store.role();
      assert.ok(evicts === undefined || typeof evicts === 'string');
    });
    options.describe('owners', () => promiseOwners(it));
    if (!lacks.has('fencing')) options.describe('fences', () => promiseFences(it));
    if (!lacks.has('queue')) options.describe('queue', () => promiseQueue(it));
    if (!lacks.has('records')) options.describe('records', () => promiseRecords(it));
  });
}
