import { randomBytes } from 'node:crypto';
import {
  FRAME_HEAD_BYTES,
  FRAME_IDENTITY_BYTES,
  FRESH_UNTIL_OFFSET,
  type CacheStore,
  type LeaseRequest,
  type StoreListener,
} from '../stores/contract/cache-store.js';
import { Sessions, type SubjectOf } from './conformance.sessions.js';
import { RecordingListener } from './recording-listener.js';

/** A store to test: one empty data set and the sessions on it; every test gets its own. */
export type ConformanceSubject = SubjectOf<CacheStore>;

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
export class ConformanceWorld extends Sessions<StoreListener, CacheStore> {
  /** A session that is open; `listener` records what it hears. */
  session(listener = new RecordingListener()): CacheStore {
    return this.open(listener);
  }

  /** A session that hears, and what it hears. */
  async listening(): Promise<{ store: CacheStore; heard: RecordingListener }> {
    const heard = new RecordingListener();
    const store = this.session(heard);
    await heard.until('heard');
    return { store, heard };
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

/** One that tells until when it is fresh, in the store's time; of others nobody can say. */
export function frameFreshUntil(time: number): Uint8Array {
  const bytes = randomBytes(FRAME_HEAD_BYTES);
  bytes.writeDoubleBE(time, FRESH_UNTIL_OFFSET);
  return new Uint8Array(bytes);
}

/** A lease request; the token is unique unless given. */
export function request(change: Partial<LeaseRequest> = {}): LeaseRequest {
  return { token: randomBytes(12).toString('hex'), leaseMs: 10_000, fence: 'fence-1', ...change };
}
