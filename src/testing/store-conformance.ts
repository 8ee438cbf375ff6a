import assert from 'node:assert/strict';
import { promiseBus } from './conformance.bus.js';
import { promiseConditions } from './conformance.conditions.js';
import { promiseEntries } from './conformance.entries.js';
import { promiseLeases } from './conformance.leases.js';
import { ConformanceWorld, type ConformanceOptions, type Promised } from './conformance.subject.js';
import { promiseScans } from './conformance.scan.js';
import { promiseStamps } from './conformance.stamps.js';
import { promiseTokens } from './conformance.tokens.js';

/**
 * Tests a store against the contract, one named test per promise. Needs no test framework of its own: it is given the runner's functions.
 * @example
 * import { describe, it } from 'vitest';
 * storeConformance({ describe, it, name: 'my store', create: async () => ({ store: () => new MyStore(url), close: () => wipe(url) }) });
 */
export function storeConformance(options: ConformanceOptions): void {
  const lacks = new Set(options.lacks);
  const it: Promised = (name, body) =>
    options.it(name, async () => {
      const world = new ConformanceWorld(await options.create());
      try {
        await body(world);
      } finally {
        await world.close();
      }
    });

  options.describe(options.name ?? 'cache store', () => {
    it('declares what it can do', async (world) => {
      const store = world.session();
      assert.match(store.name, /^[a-z][a-z0-9-]*$/);
      assert.equal(store.capabilities.stores, true);
      for (const capability of ['lease', 'cas', 'bus', 'binary', 'scan'] as const)
        assert.equal(store.capabilities[capability], !lacks.has(capability), `capability "${capability}"`);
    });
    options.describe('entries', () => promiseEntries(it));
    options.describe('tokens', () => promiseTokens(it));
    options.describe('stamps', () => promiseStamps(it));
    if (!lacks.has('lease')) options.describe('leases', () => promiseLeases(it));
    if (!lacks.has('cas')) options.describe('conditional writes', () => promiseConditions(it));
    if (!lacks.has('scan')) options.describe('scans', () => promiseScans(it));
    if (!lacks.has('bus')) options.describe('changes by others', () => promiseBus(it));
  });
}
