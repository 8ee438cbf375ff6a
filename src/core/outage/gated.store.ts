import type {
  Acquired,
  CacheStore,
  LeaseRequest,
  ScanStep,
  StoreCapabilities,
  StoreListener,
  WriteCondition,
  WriteOutcome,
} from '../../stores/contract/cache-store.js';
import { StoreUnavailableError } from '../errors/cache.error.js';
import type { InvalidationQueue } from './invalidation-queue.js';

/**
 * The store as it may be believed while invalidations of this process wait for it: every operation first gives them a chance to be sent.
 * Entries that still wait are not there, and tokens that still wait cannot be known. What waits is looked up before the store is asked:
 * an invalidation that lands in between may come after the answer.
 */
export class GatedStore implements CacheStore {
  constructor(
    private readonly store: CacheStore,
    private readonly queue: InvalidationQueue,
  ) {}

  get name(): string {
    return this.store.name;
  }

  get capabilities(): StoreCapabilities {
    return this.store.capabilities;
  }

  open(listener: StoreListener): void {
    this.store.open(listener);
  }

  async read(keys: readonly string[]): Promise<Array<Uint8Array | undefined>> {
    await this.queue.settle();
    const believed = keys.filter((key) => !this.queue.holdsKey(key));
    const frames = await this.store.read(believed);
    if (believed.length === keys.length) return frames;
    const found = new Map(believed.map((key, i) => [key, frames[i]]));
    return keys.map((key) => found.get(key));
  }

  async acquire(key: string, request: LeaseRequest): Promise<Acquired> {
    await this.settled('acquire', key);
    return this.store.acquire(key, request);
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.store.renew(key, token, leaseMs);
  }

  async fill(key: string, token: string, frame: Uint8Array, ttlMs: number): Promise<boolean> {
    await this.settled('fill', key);
    return this.store.fill(key, token, frame, ttlMs);
  }

  async release(key: string, token: string): Promise<void> {
    return this.store.release(key, token);
  }

  async write(key: string, frame: Uint8Array, ttlMs: number, condition?: WriteCondition): Promise<WriteOutcome> {
    await this.settled('write', key);
    return this.store.write(key, frame, ttlMs, condition);
  }

  async remove(keys: readonly string[]): Promise<number> {
    await this.queue.settle();
    return this.store.remove(keys);
  }

  async tokens(names: readonly string[]): Promise<string[]> {
    await this.queue.settle();
    if (names.some((name) => this.queue.holdsToken(name))) throw this.pending('tokens');
    return this.store.tokens(names);
  }

  async rotate(names: readonly string[], soft = false): Promise<string[]> {
    await this.queue.settle();
    // Its answer would be a token from before a hard rotation that still waits.
    if (soft && names.some((name) => this.queue.holdsToken(name))) throw this.pending('rotate');
    return this.store.rotate(names, soft);
  }

  async stamp(name: string, stamp: string, graceMs: number): Promise<string> {
    await this.queue.settle();
    // The one that waits would come after it.
    if (this.queue.holdsToken(name)) throw this.pending('stamp');
    return this.store.stamp(name, stamp, graceMs);
  }

  async scan(prefix: string, cursor: string | undefined): Promise<ScanStep> {
    if (!this.store.scan) throw new StoreUnavailableError(this.store.name, 'scan', 'refused');
    return this.store.scan(prefix, cursor);
  }

  now(): Promise<number> {
    return this.store.now();
  }

  close(): Promise<void> {
    return this.store.close();
  }

  private async settled(operation: string, key: string): Promise<void> {
    await this.queue.settle();
    if (this.queue.holdsKey(key)) throw this.pending(operation);
  }

  private pending(operation: string): StoreUnavailableError {
    return new StoreUnavailableError(this.store.name, operation, 'refused', 'an invalidation waits to be sent');
  }
}
