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
import { checkNumbers, linkOptions, ownConnectionOptions, type RedisStoreOptions } from './redis.options.js';
import { placeOf, type RedisPlace } from './redis.place.js';
import type { RedisScript } from './redis.scripts.js';

const CONFIRM_MS = 100;

/** Locks in Redis or Valkey, from version 6: every operation is one script. See {@link RedisLockStoreOptions}. */
export class RedisLockStore implements LockStore {
  readonly name = 'redis';
  readonly capabilities: LockStoreCapabilities = { fencing: true, queue: true, lossy: false, shared: true };
  readonly #options: RedisLockStoreOptions;
  readonly #connection: RedisConnection;
  /** '1' where PUBLISH does not tell who hears, else ''. */
  readonly #blind: string;
  #client: RedisClient | undefined;
  #keyspace: RedisLockKeyspace;
  #listener: LockStoreListener | undefined;
  #subscriber: RedisLockSubscriber | undefined;
  #closing: Promise<void> | undefined;

  /** @throws CacheUsageError `invalid_redis_options`, `invalid_url` */
  constructor(options: RedisLockStoreOptions = {}) {
    checkRedisLockOptions(options);
    this.#options = ownLink(options);
    checkNumbers(lentBy(this.#options));
    ownConnectionOptions(this.#options);
    this.#blind = (options.cluster ?? lentBy(options)?.isCluster) ? '1' : '';
    this.#keyspace = new RedisLockKeyspace(options.prefix ?? 'tc', randomBytes(9).toString('base64url'));
    this.#connection = new RedisConnection(this.#options, (client) => {
      this.#client = client;
      this.#keyspace = this.#keyspace.under(client.options.keyPrefix ?? '');
      client.on('ready', this.#connected);
    });
  }

  open(listener: LockStoreListener): void {
    if (this.#closing) return;
    this.#listener = listener;
    void this.#connection.start();
  }

  acquire(key: string, request: LockRequest): Promise<LockAnswer> {
    const opening = this.#connection.opening('acquire');
    if (!opening) return this.#ask(key, request);
    return opening.then(
      () => this.#ask(key, request),
      (error: StoreUnavailableError) => {
        throw new RequestNotSentError('redis', 'acquire', error.reason);
      },
    );
  }

  renew(key: string, owner: string, leaseMs: number): Promise<boolean> {
    return this.#run('renew', scripts.RENEW_LOCK, [this.#keyspace.lock(key)], [owner, ms(leaseMs)], isOne);
  }

  release(key: string, owner: string): Promise<ReleaseOutcome> {
    return this.#run('release', scripts.RELEASE_LOCK, this.#keyspace.all(key), this.#freeing(owner), outcomeOf);
  }

  inspect(key: string): Promise<LockState | undefined> {
    return this.#run('inspect', scripts.INSPECT_LOCK, this.#keyspace.all(key), [], stateOf);
  }

  forceRelease(key: string): Promise<boolean> {
    return this.#run('forceRelease', scripts.RELEASE_LOCK, this.#keyspace.all(key), this.#freeing(''), isOne);
  }

  readonly records: LockRecords = {
    keep: (key, owner, record, ttlMs) => {
      const keys = [this.#keyspace.lock(key), this.#keyspace.record(key)];
      return this.#run('keep', scripts.KEEP_RECORD, keys, [owner, record, ms(ttlMs)], isOne);
    },
    read: (key) => this.#run('read', scripts.READ_RECORD, [this.#keyspace.record(key)], [], textOf),
  };

  /** As that of a RedisStore. */
  get place(): RedisPlace | undefined {
    return placeOf(this.#options);
  }

  role(): Promise<LockStoreRole> {
    return this.#connection.run('role', roleOf);
  }

  close(): Promise<void> {
    this.#client?.off('ready', this.#connected);
    this.#closing ??= Promise.all([this.#connection.close(), this.#subscriber?.close()]).then(() => {});
    return this.#closing;
  }

  readonly #connected = (): void => this.#listener?.connected();

  #ask(key: string, { owner, leaseMs, waitMs, maxQueue }: LockRequest): Promise<LockAnswer> {
    const keys = this.#keyspace.all(key);
    const args = [owner, ms(leaseMs)];
    if (waitMs > 0) args.push(this.#blind, this.#channel(), String(maxQueue));
    else if (this.#blind) args.push(this.#blind);
    if (!this.#options.confirmReplicas) return this.#run('acquire', scripts.ACQUIRE_LOCK, keys, args, answerOf);
    return this.#connection.run('acquire', async (client) => {
      const reply = await this.#connection.scripts.run(client, scripts.ACQUIRE_LOCK, keys, args);
      return this.#confirmed(client, answerOf(reply));
    });
  }

  #freeing(owner: string): string[] {
    return this.#blind ? [owner, this.#blind] : [owner];
  }

  #run<T>(
    operation: string,
    script: RedisScript,
    keys: string[],
    args: string[],
    read: (reply: unknown) => T,
  ): Promise<T> {
    return this.#connection.runScript(operation, script, keys, args, read);
  }

  /** Where this process is told of hand-overs; '' while it cannot hear. */
  #channel(): string {
    const client = this.#client;
    if (!this.#subscriber && this.#listener && client && !isCluster(client) && !this.#closing) {
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
  async #confirmed(client: RedisClient, answer: LockAnswer): Promise<LockAnswer> {
    const { confirmReplicas = 0, confirmTimeout = CONFIRM_MS } = this.#options;
    if (answer.outcome !== 'granted') return answer;
    const confirmed = Number(await client.wait(confirmReplicas, confirmTimeout));
    if (confirmed >= confirmReplicas) return answer;
    throw new StoreUnavailableError(
      'redis',
      'acquire',
      'refused',
      `${confirmed} of ${confirmReplicas} replicas have it`,
    );
  }
}

function answerOf(reply: unknown): LockAnswer {
  if (!Array.isArray(reply)) return { outcome: 'granted', fence: BigInt(String(reply)) };
  const [outcome, left, waiting, fence] = reply as [number, number, number, Buffer];
  const remainingMs = Math.max(0, left);
  if (outcome === 2) return { outcome: 'full', remainingMs, waiting };
  return { outcome: 'held', remainingMs, waiting, fence: BigInt(String(fence)) };
}

function outcomeOf(reply: unknown): ReleaseOutcome {
  if (reply === 1) return 'released';
  return reply === 0 ? 'gone' : 'not-owner';
}

function stateOf(reply: unknown): LockState | undefined {
  const [owner, fence, left, waiting] = reply as [Buffer, Buffer, number, number];
  const isHeld = owner.length > 0;
  if (!isHeld && waiting === 0) return undefined;
  return {
    owner: isHeld ? String(owner) : undefined,
    fence: isHeld ? BigInt(String(fence)) : undefined,
    remainingMs: Math.max(0, left),
    waiting,
  };
}

function textOf(reply: unknown): string | undefined {
  return reply === null ? undefined : String(reply as Buffer);
}

function isOne(reply: unknown): boolean {
  return reply === 1;
}

/** A client that was lent tells where the server is; the connection is ours, so that its settings and its order are, too. */
function ownLink(options: RedisLockStoreOptions): RedisStoreOptions & RedisLockStoreOptions {
  const lent = lentBy(options);
  if (lent === undefined || isCluster(lent)) return options;
  return { ...options, client: undefined, store: undefined, connection: lent.options };
}

function lentBy({ client, store }: RedisLockStoreOptions): RedisClient | undefined {
  return client ?? store?.client;
}

function ms(duration: number): string {
  return String(Math.min(Number.MAX_SAFE_INTEGER, Math.max(1, Math.ceil(duration))));
}
