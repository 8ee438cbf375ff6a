import { randomBytes } from 'node:crypto';
import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import {
  RequestNotSentError,
  type LockAnswer,
  type LockRecords,
  type LockRequest,
  type LockState,
  type LockStore,
  type LockStoreCapabilities,
  type LockStoreListener,
  type LockStoreRole,
  type ReleaseOutcome,
} from '../../locks/contract/lock-store.js';
import { RedisConnection } from './redis.connection.js';
import { isCluster, type RedisClient } from './redis.driver.js';
import { RedisLockKeyspace } from './redis.lock-keyspace.js';
import { checkRedisLockOptions, type RedisLockStoreOptions } from './redis.lock-options.js';
import { roleOf } from './redis.lock-role.js';
import * as scripts from './redis.lock-scripts.js';
import { RedisLockSubscriber } from './redis.lock-subscriber.js';
import { linkOptions, ownConnectionOptions, type RedisStoreOptions } from './redis.options.js';
import { placeOf, type RedisPlace } from './redis.place.js';
import { RedisScriptLoader } from './redis.script-loader.js';
import type { RedisScript } from './redis.scripts.js';

const CONFIRM_MS = 100;

/** Locks in Redis or Valkey, from version 6: every operation is one script. See {@link RedisLockStoreOptions}. */
export class RedisLockStore implements LockStore {
  readonly name = 'redis';
  readonly capabilities: LockStoreCapabilities = { fencing: true, queue: true, lossy: false, shared: true };
  readonly #options: RedisLockStoreOptions;
  readonly #connection: RedisConnection;
  readonly #scripts = new RedisScriptLoader();
  #keyspace: RedisLockKeyspace;
  #listener: LockStoreListener | undefined;
  #subscriber: RedisLockSubscriber | undefined;
  #closing: Promise<void> | undefined;

  /** @throws CacheUsageError `invalid_redis_options`, `invalid_url` */
  constructor(options: RedisLockStoreOptions = {}) {
    checkRedisLockOptions(options);
    this.#options = ownLink(options);
    ownConnectionOptions(this.#options);
    this.#keyspace = new RedisLockKeyspace(options.prefix ?? 'tc', randomBytes(9).toString('base64url'));
    this.#connection = new RedisConnection(this.#options, (client) => {
      this.#keyspace = this.#keyspace.under(client.options.keyPrefix ?? '');
      client.on('ready', () => this.#listener?.connected());
    });
  }

  open(listener: LockStoreListener): void {
    if (this.#closing) return;
    this.#listener = listener;
    void this.#connection.start();
  }

  acquire(key: string, request: LockRequest): Promise<LockAnswer> {
    const { owner, leaseMs, waitMs, maxQueue } = request;
    let isSent = false;
    const asking = this.#connection.run('acquire', (client) => {
      isSent = true;
      const args = [owner, ms(leaseMs), counts(client)];
      if (waitMs > 0) args.push(this.#channel(client), String(maxQueue));
      const granted = this.#scripts.run(client, scripts.ACQUIRE_LOCK, this.#keyspace.all(key), args);
      return this.#options.confirmReplicas ? this.#confirmed(client, granted) : granted;
    });
    return asking.then(answerOf, (error: StoreUnavailableError) => {
      throw isSent ? error : new RequestNotSentError('redis', 'acquire', error.reason);
    });
  }

  async renew(key: string, owner: string, leaseMs: number): Promise<boolean> {
    return (await this.#run('renew', scripts.RENEW_LOCK, [this.#keyspace.lock(key)], [owner, ms(leaseMs)])) === 1;
  }

  release(key: string, owner: string): Promise<ReleaseOutcome> {
    return this.#free('release', key, owner).then((reply) =>
      reply === 1 ? 'released' : reply === 0 ? 'gone' : 'not-owner',
    );
  }

  async inspect(key: string): Promise<LockState | undefined> {
    const reply = await this.#run('inspect', scripts.INSPECT_LOCK, this.#keyspace.all(key), []);
    const [owner, fence, left, waiting] = reply as [Buffer, Buffer, number, number];
    if (owner.length === 0 && waiting === 0) return undefined;
    const isHeld = owner.length > 0;
    return {
      owner: isHeld ? owner.toString() : undefined,
      fence: isHeld ? BigInt(fence.toString()) : undefined,
      remainingMs: Math.max(0, left),
      waiting,
    };
  }

  async forceRelease(key: string): Promise<boolean> {
    return (await this.#free('forceRelease', key, '')) === 1;
  }

  readonly records: LockRecords = {
    keep: async (key, owner, record, ttlMs) => {
      const keys = [this.#keyspace.lock(key), this.#keyspace.record(key)];
      return (await this.#run('keep', scripts.KEEP_RECORD, keys, [owner, record, ms(ttlMs)])) === 1;
    },
    read: async (key) => {
      const reply = await this.#run('read', scripts.READ_RECORD, [this.#keyspace.record(key)], []);
      return reply === null ? undefined : String(reply as Buffer);
    },
  };

  /** As that of a RedisStore. */
  get place(): RedisPlace | undefined {
    return placeOf(this.#options);
  }

  role(): Promise<LockStoreRole> {
    return this.#connection.run('role', roleOf);
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all([this.#connection.close(), this.#subscriber?.close()]).then(() => {});
    return this.#closing;
  }

  #free(operation: string, key: string, owner: string): Promise<unknown> {
    return this.#connection.run(operation, (client) => {
      const args = [owner, counts(client)];
      return this.#scripts.run(client, scripts.RELEASE_LOCK, this.#keyspace.all(key), args);
    });
  }

  #run(operation: string, script: RedisScript, keys: string[], args: string[]): Promise<unknown> {
    return this.#connection.run(operation, (client) => this.#scripts.run(client, script, keys, args));
  }

  /** Where this process is told of hand-overs; '' while it cannot hear. */
  #channel(client: RedisClient): string {
    if (!this.#subscriber && this.#listener && !isCluster(client) && !this.#closing) {
      const link = linkOptions(this.#options);
      const { channel } = this.#keyspace;
      const missed = (): void => this.#listener?.missed();
      this.#subscriber = new RedisLockSubscriber(client, link, channel, (message) => this.#handed(message), missed);
      this.#subscriber.start();
    }
    return this.#subscriber?.isHearing ? this.#subscriber.channel : '';
  }

  #handed(message: string): void {
    const [owner, fence, ...name] = message.split('|') as [string, string, ...string[]];
    // Which replicas have it is known only when it was asked for.
    const isSure = !this.#options.confirmReplicas;
    const grant = { key: this.#keyspace.keyOf(name.join('|')), fence: BigInt(fence) };
    this.#listener?.handed(owner, isSure ? grant : undefined);
  }

  /** WAIT counts what this connection wrote before it. */
  async #confirmed(client: RedisClient, granting: Promise<unknown>): Promise<unknown> {
    const reply = (await granting) as [number];
    const { confirmReplicas = 0, confirmTimeout = CONFIRM_MS } = this.#options;
    if (reply[0] !== 1) return reply;
    const confirmed = Number(await client.call('WAIT', confirmReplicas, confirmTimeout));
    if (confirmed >= confirmReplicas) return reply;
    throw new StoreUnavailableError(
      'redis',
      'acquire',
      'refused',
      `${confirmed} of ${confirmReplicas} replicas have it`,
    );
  }
}

function answerOf(reply: unknown): LockAnswer {
  const [outcome, detail, waiting, fence] = reply as [number, Buffer | number, number, Buffer];
  if (outcome === 1) return { outcome: 'granted', fence: BigInt(String(detail)) };
  const remainingMs = Math.max(0, Number(detail));
  if (outcome === 2) return { outcome: 'full', remainingMs, waiting };
  return { outcome: 'held', remainingMs, waiting, fence: BigInt(String(fence)) };
}

/** A client that was lent tells where the server is; the connection is ours, so that its settings and its order are, too. */
function ownLink(options: RedisLockStoreOptions): RedisStoreOptions & RedisLockStoreOptions {
  const lent = options.client ?? options.store?.client;
  if (lent === undefined || isCluster(lent)) return options;
  return { ...options, client: undefined, store: undefined, connection: lent.options };
}

/** Whether PUBLISH tells who hears: in a cluster it counts one node's subscribers only. */
function counts(client: RedisClient): string {
  return isCluster(client) ? '0' : '1';
}

function ms(duration: number): string {
  return String(Math.min(Number.MAX_SAFE_INTEGER, Math.max(1, Math.ceil(duration))));
}
