import { systemClock } from '../../core/clock/clock.js';
import { randomText } from '../../core/random/random.text.js';
import {
  STAMP_MARK,
  type Acquired,
  type CacheStore,
  type StoreCapabilities,
  type StoreListener,
  type WriteOutcome,
} from '../contract/cache-store.js';

/**
 * The kill switch: keeps nothing, so that every call passes through to its loader. Every read misses, every lease is granted, no
 * write is kept, nothing is ever heard. It cannot fail, not even after `close`.
 */
export class NoneStore implements CacheStore {
  readonly name = 'none';
  readonly capabilities: StoreCapabilities = {
    lease: false,
    cas: false,
    bus: false,
    binary: true,
    evicts: true,
    scan: false,
    durable: false,
    stores: false,
  };

  open(_listener: StoreListener): void {}

  async read(keys: readonly string[]): Promise<Array<Uint8Array | undefined>> {
    return keys.map(() => undefined);
  }

  async acquire(): Promise<Acquired> {
    return { outcome: 'lease', grantedAt: 0 };
  }

  async renew(): Promise<boolean> {
    return true;
  }

  async fill(): Promise<boolean> {
    return false;
  }

  async release(): Promise<void> {}

  async write(): Promise<WriteOutcome> {
    return { written: false };
  }

  async remove(): Promise<number> {
    return 0;
  }

  async tokens(names: readonly string[]): Promise<string[]> {
    return names.map(() => randomText(16));
  }

  async rotate(names: readonly string[]): Promise<string[]> {
    return this.tokens(names);
  }

  async stamp(_name: string, stamp: string): Promise<string> {
    return `${randomText(16)}${STAMP_MARK}${stamp}`;
  }

  async now(): Promise<number> {
    return systemClock.now();
  }

  async close(): Promise<void> {}
}
