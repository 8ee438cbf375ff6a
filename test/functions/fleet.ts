import { onTestFinished } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { EngineOptions } from '../../src/core/engine.options.js';
import type { CacheService } from '../../src/core/cache.service.js';
import type { Clock } from '../../src/core/clock/clock.js';
import { StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import { makeStamp } from '../../src/core/keys/stamp.js';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { redis } from '../../src/stores/redis/index.js';
import { until } from '../faults/subject.js';
import { RedisServer } from '../servers/redis.server.js';

/** One process as far as the cache can tell: an engine with a session of its own. */
export interface Member {
  readonly engine: CacheEngine;
  readonly cache: CacheService;
  /** Names of the operations sent to the store, in order; to be emptied by the test. */
  readonly asked: string[];
  /** From now on nothing of this member reaches the store, as if its process were gone. */
  die(): void;
}

/** What all members share. */
export interface Fleet {
  join(options?: Partial<EngineOptions>): Promise<Member>;
  /** Whether somebody holds the lease of a plain key of the default namespace. */
  isLeased(key: string): Promise<boolean>;
  /** The lease is gone and nobody was told, as after a failover. */
  dropLease(key: string): Promise<void>;
}

/** A store whose operations are listed, and which can be cut off. */
function observed(store: CacheStore, asked: string[], isDead: () => boolean): CacheStore {
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      if (name === 'open' || name === 'close') return (member as () => unknown).bind(target);
      return (...args: unknown[]): unknown => {
        asked.push(String(name));
        if (isDead()) return Promise.reject(new StoreUnavailableError(target.name, String(name), 'connection'));
        return (member as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}

const WARM = 'warm';

async function member(store: CacheStore, options: Partial<EngineOptions>): Promise<Member> {
  const asked: string[] = [];
  let isDead = false;
  const engine = new CacheEngine({ store: observed(store, asked, () => isDead), ...options });
  onTestFinished(() => engine.close());
  engine.open();
  await until(() => engine.inspect().isHeard, 5000);
  const cache = engine.namespace('default');
  // What every process asks once: the time, and the namespace's token.
  await cache.getOrSet(WARM, () => 1, { forceFresh: true });
  asked.length = 0;
  return { engine, cache, asked, die: () => (isDead = true) };
}

export function memoryFleet(clock?: Clock): Fleet {
  const database = new MemoryDatabase({ clock });
  const leaseOf = (key: string): string => `${makeStamp({})}:default:{${key}}`;
  return {
    join: (options = {}) => member(new MemoryStore({ database }), { ...(clock && { clock }), ...options }),
    isLeased: async (key) => database.lease(leaseOf(key)) !== undefined,
    dropLease: async (key) => void database.dropLease(leaseOf(key)),
  };
}

export function redisFleet(server: RedisServer): Fleet {
  const leaseOf = (key: string): string => `tc:l:${makeStamp({})}:default:{${key}}`;
  return {
    // A busy machine is not an outage.
    join: async (options = {}) => {
      const joined = await member(redis({ url: server.url }), { deadlineMs: 5000, ...options });
      // Redis reports its own writes to a process, too: until that was heard, what it wrote is asked for once more.
      await until(() => joined.cache.peek(WARM) === undefined, 2000);
      await joined.cache.get(WARM);
      joined.asked.length = 0;
      return joined;
    },
    isLeased: async (key) => (await server.command('EXISTS', leaseOf(key))) === 1,
    dropLease: async (key) => void (await server.command('DEL', leaseOf(key))),
  };
}

/** Two members of a fleet, for `beforeEach`. */
export async function openPair(open: () => Promise<Fleet>): Promise<{ fleet: Fleet; a: Member; b: Member }> {
  const fleet = await open();
  return { fleet, a: await fleet.join(), b: await fleet.join() };
}

export const never = (): never => {
  throw new Error('this loader must not run');
};

/** Both, for `describe.each`: each on a store that is empty when a test begins. */
export const FLEETS = [
  { name: 'memory', open: async (): Promise<Fleet> => memoryFleet() },
  {
    name: 'Redis',
    open: async (): Promise<Fleet> => {
      server ??= await RedisServer.start();
      await server.command('FLUSHALL');
      return redisFleet(server);
    },
  },
] as const;

let server: RedisServer | undefined;

/** The server behind the Redis fleet, once one was opened. */
export function fleetServer(): RedisServer {
  if (!server) throw new Error('no Redis fleet was opened');
  return server;
}

export async function stopFleets(): Promise<void> {
  await server?.stop();
}

/** A loader that ends when told to, and tells when it has begun. */
export class Gate<T> {
  readonly begun: Promise<void>;
  private begin!: () => void;
  private readonly result: Promise<T>;
  open!: (value: T) => void;
  fail!: (error: Error) => void;
  runs = 0;

  constructor() {
    this.begun = new Promise((resolve) => (this.begin = resolve));
    this.result = new Promise((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
  }

  readonly load = (): Promise<T> => {
    this.runs++;
    this.begin();
    return this.result;
  };
}

/** What became of each call. */
export async function codesOf(calls: ReadonlyArray<Promise<unknown>>): Promise<unknown[]> {
  const outcomes = await Promise.allSettled(calls);
  return outcomes.map((outcome) =>
    outcome.status === 'fulfilled' ? outcome.value : (outcome.reason as { code?: unknown }).code,
  );
}
