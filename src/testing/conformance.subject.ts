import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { FRAME_IDENTITY_BYTES, type CacheStore, type LeaseRequest } from '../stores/contract/cache-store.js';
import { RecordingListener } from './recording-listener.js';

/** One empty data set and the sessions on it; every test gets its own. */
export interface ConformanceSubject {
  /** A new session, as another process would have it; not opened yet. The suite closes it. */
  store(): CacheStore;
  /** Moves the store's clock. Without it the suite waits for real (fractions of a second). */
  advance?(ms: number): void | Promise<void>;
  /** Loses all data without any session doing it, e.g. FLUSHALL. Without it, what depends on it is not tested. */
  flush?(): void | Promise<void>;
  close(): void | Promise<void>;
}

/** The functions of the test runner (vitest, jest, node:test, ...) and the store to test. */
export interface ConformanceOptions {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void>): void;
  /** In front of every name. Default `cache store`. */
  name?: string;
  /** Called once per test. */
  create(): ConformanceSubject | Promise<ConformanceSubject>;
  /** What the store declares it cannot do; those promises are then not tested. Checked against its descriptor. */
  lacks?: ReadonlyArray<'lease' | 'cas' | 'bus' | 'binary' | 'scan'>;
}

/** What a test body works with. */
export class ConformanceWorld {
  readonly #opened: CacheStore[] = [];

  constructor(private readonly subject: ConformanceSubject) {}

  /** A session that is open; `listener` records what it hears. */
  session(listener = new RecordingListener()): CacheStore {
    const store = this.subject.store();
    this.#opened.push(store);
    store.open(listener);
    return store;
  }

  /** A session that hears, and what it hears. */
  async listening(): Promise<{ store: CacheStore; heard: RecordingListener }> {
    const heard = new RecordingListener();
    const store = this.session(heard);
    await heard.until('heard');
    return { store, heard };
  }

  async pass(ms: number): Promise<void> {
    if (this.subject.advance) await this.subject.advance(ms);
    else await delay(ms);
  }

  /** Whether the data could be lost. */
  async flush(): Promise<boolean> {
    await this.subject.flush?.();
    return this.subject.flush !== undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((store) => store.close()));
    await this.subject.close();
  }
}

/** A test by name; the world is its own. */
export type Promised = (name: string, body: (world: ConformanceWorld) => Promise<void>) => void;

let sequence = 0;

/** A key nobody else uses, with the hash tag the engine puts in. */
export function freshKey(): string {
  return `conformance:{k${++sequence}-${randomBytes(6).toString('hex')}}`;
}

/** A frame as the engine builds them: a unique identity, then a payload. */
export function frame(payload: string | Uint8Array = 'payload'): Uint8Array {
  return new Uint8Array(Buffer.concat([randomBytes(FRAME_IDENTITY_BYTES), Buffer.from(payload)]));
}

/** A lease request; the token is unique unless given. */
export function request(change: Partial<LeaseRequest> = {}): LeaseRequest {
  return { token: randomBytes(12).toString('hex'), leaseMs: 10_000, fence: 'fence-1', ...change };
}
