import { describe, it } from 'vitest';
import { MemoryLockDatabase } from '../../src/stores/memory/memory.lock-database.js';
import { MemoryLockStore } from '../../src/stores/memory/memory.lock-store.js';
import { lockStoreConformance } from '../../src/testing/lock-store-conformance.js';
import { TestClock } from '../stores/test.clock.js';

lockStoreConformance({
  describe,
  it,
  name: 'memory lock store',
  create() {
    const clock = new TestClock();
    const database = new MemoryLockDatabase({ clock });
    return {
      store: () => new MemoryLockStore({ database }),
      advance: (ms) => clock.advance(ms),
      flush: () => database.flush(),
      close: () => {},
    };
  },
});
