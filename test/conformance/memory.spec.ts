import { describe, it } from 'vitest';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { storeConformance } from '../../src/testing/store-conformance.js';
import { TestClock } from '../stores/test.clock.js';

storeConformance({
  describe,
  it,
  name: 'memory store',
  create() {
    const clock = new TestClock();
    const database = new MemoryDatabase({ clock });
    return {
      store: () => new MemoryStore({ database }),
      advance: (ms) => clock.advance(ms),
      flush: () => database.flush(),
      close: () => {},
    };
  },
});
