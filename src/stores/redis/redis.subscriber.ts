import type { Redis, RedisOptions } from 'ioredis';
import type { StoreListener } from '../contract/cache-store.js';
import { refusalCode } from './redis.errors.js';
import { RedisHeartbeat } from './redis.heartbeat.js';
import type { RedisKeyspace } from './redis.keyspace.js';
import { closeClient } from './redis.lifecycle.js';
import { cut, guardHandshake } from './redis.watchdog.js';

const INVALIDATE = '__redis__:invalidate';

/** First letter of a reported change: of an entry, or of a token. */
export type ChangeKind = 'e' | 't';

/**
 * Hears of every change of entries and tokens, by whomever, through a connection of its own: the server tracks both key prefixes
 * and sends the names of changed keys. Tracking ends with the connection, so it is asked for anew at every `ready`; only then is the
 * listener told that it hears. Where tracking is refused, it hears what the scripts of this package report of their own changes, and not of
 * other writers, evictions, expiry and FLUSHALL.
 */
export class RedisSubscriber {
  readonly #client: Redis;
  readonly #heartbeat: RedisHeartbeat;
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
    const tracked = await this.#track();
    if (!tracked && this.keyspace.changes === '') return;
    await client.subscribe(tracked ? INVALIDATE : this.keyspace.changes, this.keyspace.channel);
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
    if (channel === this.keyspace.changes) return this.#change(String(message));
    if (channel !== INVALIDATE) return;
    if (!Array.isArray(message)) return this.listener.flushed();
    const keys = message.map(String);
    this.#report(keys, this.keyspace.entries, (changed) => this.listener.changed(changed));
    this.#report(keys, this.keyspace.tokens, (rotated) => this.listener.rotated(rotated));
  }

  #change(report: string): void {
    const name = report.slice(1);
    if (report.startsWith('e' satisfies ChangeKind)) this.listener.changed([name]);
    else this.listener.rotated([name]);
  }

  #report(keys: string[], prefix: string, tell: (names: string[]) => void): void {
    const names = keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    if (names.length > 0) tell(names);
  }

  #lose(): void {
    this.#heartbeat.stop();
    if (!this.#hearing) return;
    this.#hearing = false;
    if (!this.#closed) this.listener.lost();
  }
}
