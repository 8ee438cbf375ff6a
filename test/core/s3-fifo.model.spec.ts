import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { S3FifoSlab } from '../../src/core/tiers/s3-fifo.slab.js';
import { SlotIndex } from '../../src/core/tiers/slot.index.js';

describe('S3FifoSlab against a model', () => {
  // Some look alike to who looks at a few of their characters.
  const KEYS = fc.constantFrom('', '0', '1', 'a:long-key', 'b:long-key', 'c:long-key', 'another one', '\ud800 lone');
  const SPACE = fc.integer({ min: 0, max: 2 });
  const OPERATION = fc.oneof(
    { weight: 24, arbitrary: fc.tuple(fc.constant('put' as const), SPACE, KEYS, fc.integer({ min: 0, max: 130 })) },
    { weight: 13, arbitrary: fc.tuple(fc.constant('read' as const), SPACE, KEYS, fc.constant(0)) },
    { weight: 8, arbitrary: fc.tuple(fc.constant('remove' as const), SPACE, KEYS, fc.constant(0)) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('clear' as const), SPACE, KEYS, fc.constant(0)) },
  );
  type Held = { payload: number; size: number; expiresAt: number };

  it('indexes, slots, bytes and evictions agree after every step', () => {
    fc.assert(
      fc.property(
        fc.array(OPERATION, { minLength: 1, maxLength: 300, size: 'max' }),
        fc.integer({ min: 1, max: 30 }),
        (operations, maxEntries) => {
          const limits = { maxEntries, maxBytes: 500 };
          const indexes = [new SlotIndex(), new SlotIndex(), new SlotIndex()];
          const model = indexes.map(() => new Map<string, Held>());
          let evictions = 0;
          const slab = new S3FifoSlab<number, string>(limits, (index, key, payload) => {
            const held = model[indexes.indexOf(index)] as Map<string, Held>;
            expect(held.get(key)?.payload).toBe(payload);
            held.delete(key);
            evictions++;
          });
          for (const [step, [name, space, key, size]] of operations.entries()) {
            const index = indexes[space] as SlotIndex;
            const held = model[space] as Map<string, Held>;
            const slot = index.get(key);
            if (name === 'put') {
              const kept = slab.insert(index, key, step, `f${step}`, step % 4, size, step + 5, step + 10, step);
              expect(kept === -1).toBe(size > 125);
              if (kept === -1) held.delete(key);
              else held.set(key, { payload: step, size, expiresAt: step + 10 });
            } else if (name === 'clear') {
              slab.clear();
              for (const each of model) each.clear();
            } else if (slot !== undefined) {
              if (name === 'read') slab.touch(slot);
              // A second removal of the slot must do nothing.
              else for (let twice = 0; twice < 2; twice++) slab.remove(slot);
              if (name === 'remove') held.delete(key);
            }
            const slots = new Set(indexes.flatMap((each) => [...each.values()]));
            expect(indexes.map((each) => [...each.keys()].sort())).toEqual(
              model.map((each) => [...each.keys()].sort()),
            );
            expect(slots.size).toBe(slab.entries);
            expect(slab.entries).toBeLessThanOrEqual(maxEntries);
            expect(slab.bytes).toBeLessThanOrEqual(limits.maxBytes);
            expect(slab.bytes).toBe(
              model.flatMap((each) => [...each.values()]).reduce((sum, entry) => sum + entry.size, 0),
            );
            expect(slab.evictions).toBe(evictions);
            for (const [at, each] of model.entries()) {
              for (const [k, { payload, expiresAt }] of each) {
                const s = indexes[at]?.get(k) as number;
                expect([slab.payloads[s], slab.fences[s], slab.kinds[s]]).toEqual([
                  payload,
                  `f${payload}`,
                  payload % 4,
                ]);
                expect([slab.createdAt[s], slab.freshUntil[s], slab.expiresAt[s]]).toEqual([
                  payload,
                  payload + 5,
                  expiresAt,
                ]);
              }
            }
            // A free slot that kept either would hold on to memory.
            expect(slab.payloads.filter((payload) => payload !== undefined).length).toBe(slab.entries);
            expect(slab.fences.filter((fence) => fence !== undefined).length).toBe(slab.entries);
          }
        },
      ),
      { numRuns: 60, seed: 42 },
    );
  });
});
