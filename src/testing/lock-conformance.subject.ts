import { randomBytes } from 'node:crypto';
import type { HandOver, LockRequest, LockStore, LockStoreListener } from '../locks/contract/lock-store.js';
import { Sessions, type SubjectOf } from './conformance.sessions.js';
import type { ConformanceOptions } from './conformance.subject.js';

/** A lock store to test: one empty data set and the sessions on it; every test gets its own. */
export type LockConformanceSubject = SubjectOf<LockStore>;

/** The functions of the test runner (vitest, jest, node:test, ...) and the lock store to test. */
export interface LockConformanceOptions extends Pick<ConformanceOptions, 'describe' | 'it' | 'name'> {
  /** Called once per test. */
  create(): LockConformanceSubject | Promise<LockConformanceSubject>;
  /** What the store declares it cannot do; those promises are then not tested. Checked against its capabilities. */
  lacks?: ReadonlyArray<'fencing' | 'queue' | 'records'>;
  /** How much later than the end of its lease a lock may be free, in milliseconds: of a store that counts whole seconds. Default 0. */
  slackMs?: number;
}

/** Records which owners were handed a lock. */
export class RecordingLockListener implements LockStoreListener {
  readonly owners: string[] = [];
  readonly grants: Array<HandOver | undefined> = [];
  /** How often everybody had to ask again. */
  misses = 0;
  private changed: (() => void) | undefined;

  handed(owner: string, grant?: HandOver): void {
    this.owners.push(owner);
    this.grants.push(grant);
    this.changed?.();
  }

  connected(): void {}

  missed(): void {
    this.misses++;
    this.changed?.();
  }

  /** Resolves once `owner` was handed a lock. @throws Error after five seconds */
  async until(owner: string): Promise<void> {
    const until = performance.now() + 5000;
    while (!this.owners.includes(owner)) {
      if (performance.now() > until) throw new Error('no lock was handed over within 5 s');
      await this.next();
    }
  }

  /** Resolves at the next message, at the latest after 100 ms. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 100);
      this.changed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** What a test body works with. */
export class LockWorld extends Sessions<LockStoreListener, LockStore> {
  constructor(
    subject: LockConformanceSubject,
    private readonly slackMs: number,
  ) {
    super(subject);
  }

  /** Lets so much time pass that every lease that ends in `ms` is over. */
  outlast(ms: number): Promise<void> {
    return this.pass(ms + this.slackMs);
  }

  /** A session that is open. */
  session(listener: LockStoreListener = new RecordingLockListener()): LockStore {
    return this.open(listener);
  }

  /** A session that is told of hand-overs. Asking for a lock with `waitMs` begins the listening, so it waits for a key of its own first. */
  async listening(): Promise<{ store: LockStore; heard: RecordingLockListener }> {
    const heard = new RecordingLockListener();
    const store = this.session(heard);
    const [key, holder, waiter] = [freshLockKey(), lockRequest(), lockRequest({ waitMs: 5000 })];
    await store.acquire(key, holder);
    const until = performance.now() + 5000;
    await store.acquire(key, waiter);
    while (store.capabilities.shared && heard.misses === 0 && performance.now() < until) await heard.next();
    await store.release(key, waiter.owner);
    await store.release(key, holder.owner);
    return { store, heard };
  }
}

/** A test by name; the world is its own. */
export type LockPromised = (name: string, body: (world: LockWorld) => Promise<void>) => void;

let sequence = 0;

/** A key nobody else uses, with the hash tag the engine puts in. */
export function freshLockKey(): string {
  return `{lock${++sequence}-${randomBytes(6).toString('hex')}}`;
}

/** A request; the owner is unique unless given. */
export function lockRequest(change: Partial<LockRequest> = {}): LockRequest {
  return { owner: randomBytes(12).toString('hex'), leaseMs: 10_000, waitMs: 0, maxQueue: 100, ...change };
}
