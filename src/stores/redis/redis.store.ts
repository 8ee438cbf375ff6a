import type { Cluster, Redis } from 'ioredis';
import {
  FRAME_IDENTITY_BYTES,
  type Acquired,
  type CacheStore,
  type LeaseRequest,
  type ScanStep,
  type StoreCapabilities,
  type StoreListener,
  type WriteCondition,
  type WriteOutcome,
} from '../contract/cache-store.js';
import { ownBytes } from '../../core/own-bytes.js';
import type { LockStore, LockStoreSource } from '../../locks/contract/lock-store.js';
import { RedisClusterLineage } from './redis.cluster-lineage.js';
import { RedisClusterSubscriber } from './redis.cluster-subscriber.js';
import { RedisConnection } from './redis.connection.js';
import type { CommandLink } from './redis.common-server.js';
import { isCluster, type RedisClient } from './redis.driver.js';
import { RedisKeyspace } from './redis.keyspace.js';
import {
  checkNumbers,
  checkReadsMasters,
  checkRedisOptions,
  linkOptions,
  ownConnectionOptions,
  type RedisStoreOptions,
} from './redis.options.js';
import { RedisLineage } from './redis.lineage.js';
import { RedisLockStore } from './redis.lock-store.js';
import { RedisMasters } from './redis.masters.js';
import { placeOf, type RedisPlace } from './redis.place.js';
import { RedisReadBatch } from './redis.read-batch.js';
import { entryReport, releaseReport, updateReport } from './redis.reports.js';
import type { RedisArgument } from './redis.script-loader.js';
import * as scripts from './redis.scripts.js';
import { millisecondsOf } from './redis.server-time.js';
import { RedisSubscriber } from './redis.subscriber.js';
import { RedisTokens } from './redis.tokens.js';
import { RedisUpdateTransaction, type RedisUpdate } from './redis.update-transaction.js';

/** Default of `sendValuesUpTo`: a few of them still travel in one packet. */
const SENT_BYTES = 1024;
const WRITTEN: WriteOutcome = { written: true };
/** Keys the server looks at in one step of a scan: about a millisecond of its time. */
const SCAN_STEP = 1000;

/** Redis or Valkey, from version 6: every operation is one command, one script or one transaction. See {@link RedisStoreOptions}. */
export class RedisStore implements CacheStore, LockStoreSource {
  readonly name = 'redis';
  readonly capabilities: StoreCapabilities;
  readonly #options: RedisStoreOptions;
  readonly #connection: RedisConnection;
  readonly #reads: RedisReadBatch;
  readonly #tokens: RedisTokens;
  readonly #transaction: RedisUpdateTransaction;
  readonly #lineage: RedisLineage | RedisClusterLineage;
  #keyspace: RedisKeyspace;
  #client: RedisClient | undefined;
  #listener: StoreListener | undefined;
  #subscriber: RedisSubscriber | RedisClusterSubscriber | undefined;
  #masters: RedisMasters | undefined;
  #closing: Promise<void> | undefined;

  /** @throws CacheUsageError `invalid_redis_options`, `invalid_url` */
  constructor(options: RedisStoreOptions = {}) {
    checkRedisOptions(options);
    checkReadsMasters(options);
    ownConnectionOptions(options);
    const client = options.client ?? options.store?.client;
    checkNumbers(client);
    const isOne = client ? !isCluster(client) : options.cluster === undefined;
    // A cluster would have to be scanned server by server, while slots move.
    const can = { lease: true, cas: true, bus: true, binary: true, scan: isOne };
    this.capabilities = { ...can, evicts: true, durable: false, stores: true };
    this.#options = options;
    // In a cluster each message would go to all servers.
    this.#keyspace = new RedisKeyspace(options.prefix ?? 'tc', '', isOne);
    this.#connection = new RedisConnection(
      options,
      (found) => this.#adopt(found),
      () => this.#lineage.known(),
    );
    this.#reads = new RedisReadBatch(this.#connection);
    this.#transaction = new RedisUpdateTransaction(this.#connection);
    const connected = (): Promise<void> => this.#connection.start();
    const changed = (): void => this.#listener?.flushed();
    const found = (): void => {
      if (this.#subscriber instanceof RedisSubscriber) this.#subscriber.compare();
    };
    this.#lineage = isOne ? new RedisLineage(connected, changed, found) : new RedisClusterLineage(connected, changed);
    this.#tokens = new RedisTokens(this.#connection, this.#reads, this.#lineage, () => this.#keyspace);
  }

  open(listener: StoreListener): void {
    if (this.#closing) return;
    this.#listener = listener;
    void this.#connection.start();
    this.#listen();
  }

  async read(keys: readonly string[]): Promise<Array<Uint8Array | undefined>> {
    return keys.length === 0 ? [] : this.#reads.get(keys.map((key) => this.#keyspace.entry(key)));
  }

  async acquire(key: string, request: LeaseRequest): Promise<Acquired> {
    const args = [request.token, lease(request.leaseMs), request.fence, identity(request.seen), flag(request.steal)];
    const reply = await this.#run('acquire', scripts.ACQUIRE, this.#pair(key), args);
    const [outcome, detail, beside] = reply as [number, unknown, Buffer?];
    if (outcome === 1) return { outcome: 'value', frame: ownBytes(detail as Buffer) };
    const stale = beside && ownBytes(beside);
    if (outcome === 0) return { outcome: 'lease', grantedAt: Number(detail), stale };
    return { outcome: 'held', remainingMs: Math.max(0, Number(detail)), stale };
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return (await this.#run('renew', scripts.RENEW, [this.#keyspace.lease(key)], [token, lease(leaseMs)])) === 1;
  }

  async fill(key: string, token: string, frame: Uint8Array, ttlMs: number): Promise<boolean> {
    const { changes, updates } = this.#keyspace;
    const sending = this.#isSent(frame) ? updateReport(key) : '';
    const args = [token, bytes(frame), ttl(ttlMs), changes, entryReport(key), updates, sending];
    return (await this.#run('fill', scripts.FILL, this.#pair(key), args)) === 1;
  }

  async release(key: string, token: string): Promise<void> {
    await this.#run(
      'release',
      scripts.RELEASE,
      [this.#keyspace.lease(key)],
      [token, this.#keyspace.channel, releaseReport(key)],
    );
  }

  async write(key: string, frame: Uint8Array, ttlMs: number, condition?: WriteCondition): Promise<WriteOutcome> {
    const { updates } = this.#keyspace;
    const isSent = this.#isSent(frame);
    if (condition === undefined && isSent && updates !== '' && ttlMs !== Infinity) {
      const [entry, lease] = this.#pair(key);
      const update = {
        entry,
        lease,
        frame: bytes(frame),
        ttl: ttl(ttlMs),
        channel: updates,
        report: updateReport(key),
      };
      await (this.#transaction.send(update) ?? this.#sendByScript(update));
      return WRITTEN;
    }
    const args = [
      bytes(frame),
      ttl(ttlMs),
      flag(condition?.absent === true || condition?.seen !== undefined),
      identity(condition?.seen),
      flag(condition?.absent),
      updates,
      isSent ? updateReport(key) : entryReport(key),
      flag(isSent),
    ];
    const reply = await this.#run('write', scripts.WRITE, this.#pair(key), args);
    return reply === 1 ? WRITTEN : { written: false, frame: reply === null ? undefined : ownBytes(reply as Buffer) };
  }

  async remove(keys: readonly string[]): Promise<number> {
    const removed = await this.#connection.runEach('remove', scripts.REMOVE, keys, (key) => {
      return { keys: this.#pair(key), args: [this.#keyspace.updates, entryReport(key)] };
    });
    return removed.reduce<number>((sum, one) => sum + Number(one), 0);
  }

  tokens(names: readonly string[]): Promise<string[]> {
    return this.#tokens.read(names);
  }

  rotate(names: readonly string[], soft = false): Promise<string[]> {
    return this.#tokens.rotate(names, soft);
  }

  stamp(name: string, stamp: string, graceMs: number): Promise<string> {
    return this.#tokens.stamp(name, stamp, graceMs);
  }

  async scan(prefix: string, cursor = '0'): Promise<ScanStep> {
    const { entries } = this.#keyspace;
    const pattern = `${literally(entries + prefix)}*`;
    const [next, found] = await this.#connection.run('scan', (client) =>
      (client as Redis).scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_STEP),
    );
    return { keys: found.map((key) => key.slice(entries.length)), cursor: next === '0' ? undefined : next };
  }

  async now(): Promise<number> {
    return millisecondsOf(await this.#connection.run('now', (client) => client.time()));
  }

  /** Locks on the same server, under the same prefix, through connections of their own. */
  lockStore(): LockStore {
    return new RedisLockStore(this.#options);
  }

  /** `host:port` and database, where they are known from the options; for a word of warning, never for a connection. */
  get place(): RedisPlace | undefined {
    return placeOf(this.#options);
  }

  close(): Promise<void> {
    this.#masters?.close();
    this.#lineage.close();
    this.#transaction.close();
    this.#closing ??= Promise.all([this.#connection.close(), this.#subscriber?.close()]).then(() => {});
    return this.#closing;
  }

  #adopt(client: RedisClient): void {
    this.#keyspace = new RedisKeyspace(this.#keyspace.prefix, client.options.keyPrefix, !isCluster(client));
    this.#client = client;
    this.#transaction.watch(client);
    if (this.#lineage instanceof RedisLineage) this.#lineage.watch(client as Redis);
    else this.#lineage.watch((this.#masters = new RedisMasters(client as Cluster)));
    this.#listen();
  }

  #listen(): void {
    const client = this.#client;
    if (!client || !this.#listener || this.#subscriber) return;
    const link = linkOptions(this.#options);
    this.#subscriber = this.#masters
      ? new RedisClusterSubscriber(this.#masters, link, this.#keyspace, this.#listener)
      : new RedisSubscriber(client as Redis, link, this.#keyspace, this.#listener, this.#commandLink());
    this.#subscriber.start();
  }

  #commandLink(): CommandLink | undefined {
    const lineage = this.#lineage;
    if (!(lineage instanceof RedisLineage)) return undefined;
    const connection = this.#connection;
    return {
      get server() {
        return lineage.server;
      },
      leave: () => connection.leave(),
      askAgain: () => lineage.ask(),
    };
  }

  async #sendByScript({ entry, lease, frame, ttl, channel, report }: RedisUpdate): Promise<void> {
    await this.#run('write', scripts.SEND_UPDATE, [entry, lease], [frame, ttl, channel, report]);
  }

  #run(operation: string, script: scripts.RedisScript, keys: string[], args: RedisArgument[]): Promise<unknown> {
    return this.#connection.runScript(operation, script, keys, args, asIs);
  }

  /** Whether others are sent the frame with the news. */
  #isSent(frame: Uint8Array): boolean {
    return frame.byteLength <= (this.#options.sendValuesUpTo ?? SENT_BYTES);
  }

  #pair(key: string): [entry: string, lease: string] {
    return [this.#keyspace.entry(key), this.#keyspace.lease(key)];
  }
}

function asIs(reply: unknown): unknown {
  return reply;
}

/** A text for MATCH that stands for itself. */
function literally(text: string): string {
  return text.replaceAll(/[\\*?[\]^-]/g, '\\$&');
}

/** A view, not a copy: the driver takes nothing but a Buffer for bytes. */
function bytes(frame: Uint8Array): Buffer {
  return Buffer.isBuffer(frame) ? frame : Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
}

function identity(frame: Uint8Array | undefined): RedisArgument {
  return frame ? bytes(frame.subarray(0, FRAME_IDENTITY_BYTES)) : '';
}

function lease(ms: number): string {
  return String(Math.min(Number.MAX_SAFE_INTEGER, Math.max(1, Math.ceil(ms))));
}

function ttl(ms: number): string {
  return ms === Infinity ? '' : String(Math.min(Number.MAX_SAFE_INTEGER, Math.max(1, Math.floor(ms))));
}

function flag(value: boolean | undefined): string {
  return value ? '1' : '0';
}
