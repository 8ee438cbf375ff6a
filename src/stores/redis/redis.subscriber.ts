import type { Redis, RedisOptions } from 'ioredis';
import type { StoreListener } from '../contract/cache-store.js';
import { refusalCode } from './redis.errors.js';
import { RedisHeartbeat } from './redis.heartbeat.js';
import type { RedisKeyspace } from './redis.keyspace.js';
import { closeClient } from './redis.lifecycle.js';
import { parseReport } from './redis.reports.js';
import { cut, guardHandshake } from './redis.watchdog.js';

const INVALIDATE = '__redis__:invalidate';

/**
 * How long an update that came with its value is believed. The server names a key once for all that happened to it in one turn of its loop, so
 * that what another program did to it in the turn of the update cannot be told from the update itself.
 */
const BELIEVED_MS = 50;

/**
 * Hears of every change of entries and tokens, by whomever, through a connection of its own: the server tracks both key prefixes
 * and sends the names of changed keys. Tracking ends with the connection, so it is asked for anew at every `ready`; only then is the
 * listener told that it hears. The scripts of this package report updates themselves, with the value, and in front of the server's
 * word. Where tracking is refused, it hears what these scripts report of their own changes, and not of other writers, evictions, expiry and
 * FLUSHALL.
 */
export class RedisSubscriber {
  readonly #client: Redis;
  readonly #heartbeat: RedisHeartbeat;
  /** Updates that the server is yet to name, and until when that is them. */
  readonly #echoes = new Map<string, number>();
  #isTracked = false;
  #hearing = false;
  #closed = false;

  constructor(
    source: Redis,
    options: RedisOptions,
    private readonly keyspace: RedisKeyspace,
    private readonly listener: StoreListener,
  ) {
    // ioredis 6 would speak RESP3, in which it swallows these messages.
    const resp2: RedisOptions & { protocol: 2 } = { ...options, keyPrefix: '', protocol: 2 };
    this.#client = source.duplicate(resp2);
    this.#heartbeat = new RedisHeartbeat(
      () => this.#client.ping(),
      () => {
        this.#lose();
        cut(this.#client);
      },
    );
  }

  start(): void {
    const client = this.#client;
    client.on('error', () => {});
    guardHandshake(client, client.options.connectTimeout ?? 1000);
    client.on('ready', () => void this.#listen().catch(() => {}));
    client.on('messageBuffer', (channel: Buffer, message: unknown) => this.#receive(channel.toString(), message));
    client.on('close', () => this.#lose());
    client.on('end', () => {
      this.#lose();
      if (!this.#closed) setTimeout(() => !this.#closed && client.connect().catch(() => {}), 250).unref();
    });
    client.connect().catch(() => {});
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#heartbeat.stop();
    await closeClient(this.#client);
  }

  async #listen(): Promise<void> {
    const client = this.#client;
    this.#heartbeat.start();
    this.#isTracked = await this.#track();
    const { changes, updates, channel } = this.keyspace;
    if (!this.#isTracked && changes === '') return;
    const channels = [this.#isTracked ? INVALIDATE : changes, updates, channel];
    await client.subscribe(...channels.filter((name) => name !== ''));
    if (this.#closed || client.status !== 'ready') return;
    this.#hearing = true;
    this.listener.heard();
  }

  async #track(): Promise<boolean> {
    try {
      const id = String(await this.#client.client('ID'));
      const { entries, tokens } = this.keyspace;
      const prefixes = ['BCAST', 'PREFIX', entries, 'PREFIX', tokens];
      await this.#client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id, ...prefixes);
      return true;
    } catch (error) {
      if (refusalCode(error) === undefined) throw error;
      return false;
    }
  }

  #receive(channel: string, message: unknown): void {
    if (channel === this.keyspace.channel) return this.listener.released([String(message)]);
    if (channel === this.keyspace.changes || channel === this.keyspace.updates) return this.#change(message as Buffer);
    if (channel !== INVALIDATE) return;
    if (!Array.isArray(message)) return this.listener.flushed();
    const keys = message.map(String);
    const changed = namesAt(this.keyspace.entries, keys).filter((key) => !this.#isEcho(key));
    if (changed.length > 0) this.listener.changed(changed);
    const rotated = namesAt(this.keyspace.tokens, keys);
    if (rotated.length > 0) this.listener.rotated(rotated);
  }

  #change(message: Buffer): void {
    const report = parseReport(message);
    if (report === undefined) return;
    const { name } = report;
    if (report.kind === 'token') return this.listener.rotated([name]);
    if (report.kind === 'entry') return this.listener.changed([name]);
    if (this.#isTracked) this.#echoes.set(name, performance.now() + BELIEVED_MS);
    this.listener.updated(name, report.frame, report.at, this.#isTracked ? BELIEVED_MS : Infinity);
  }

  /** Whether the server names an update that was heard of already. */
  #isEcho(key: string): boolean {
    const until = this.#echoes.get(key);
    if (until === undefined) return false;
    this.#echoes.delete(key);
    return performance.now() < until;
  }

  #lose(): void {
    this.#heartbeat.stop();
    this.#echoes.clear();
    if (!this.#hearing) return;
    this.#hearing = false;
    if (!this.#closed) this.listener.lost();
  }
}

/** The names of those keys that begin with `prefix`. */
function namesAt(prefix: string, keys: readonly string[]): string[] {
  return keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
}
