import type { Redis, RedisOptions } from 'ioredis';
import type { StoreListener } from '../contract/cache-store.js';
import { RedisCommonServer, type CommandLink } from './redis.common-server.js';
import { refusalCode } from './redis.errors.js';
import type { RedisKeyspace } from './redis.keyspace.js';
import { RedisListeningLink } from './redis.listening-link.js';
import { askRun } from './redis.lineage.js';
import { parseReport } from './redis.reports.js';
import { cut } from './redis.watchdog.js';

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
  readonly #link: RedisListeningLink;
  readonly #common: RedisCommonServer;
  /** Updates that the server is yet to name, and until when that is them. */
  readonly #echoes = new Map<string, number>();
  #isTracked = false;
  #hearing = false;

  constructor(
    source: Redis,
    options: RedisOptions,
    private readonly keyspace: RedisKeyspace,
    private readonly listener: StoreListener,
    commands?: CommandLink,
  ) {
    // ioredis 6 would speak RESP3, in which it swallows these messages.
    const resp2: RedisOptions & { protocol: 2 } = { ...options, protocol: 2 };
    this.#link = new RedisListeningLink(source, resp2, { ready: () => this.#listen(), lost: () => this.#lose() });
    this.#common = new RedisCommonServer(
      commands,
      () => cut(this.#link.client),
      (isCommon) => this.#turn(isCommon),
    );
  }

  start(): void {
    // What our scripts publish says by itself what it is; all else is the server's word.
    this.#link.client.on('messageBuffer', (_: Buffer, message: unknown) =>
      Buffer.isBuffer(message) ? this.#told(message) : this.#named(message),
    );
    this.#link.open();
  }

  close(): Promise<void> {
    this.#common.listenTo(undefined);
    return this.#link.close();
  }

  async #listen(): Promise<void> {
    const since = performance.now();
    const { client } = this.#link;
    // A connection that has subscribed may ask for nothing any more.
    const [isTracked, run] = await Promise.all([this.#track(), askRun(client)]);
    this.#isTracked = isTracked;
    const { changes, updates, channel } = this.keyspace;
    if (!this.#isTracked && changes === '') return;
    const channels = [this.#isTracked ? INVALIDATE : changes, updates, channel];
    await client.subscribe(...channels.filter((name) => name !== ''));
    if (!this.#link.isReady) return;
    this.#common.listenTo({ run, since });
  }

  /** To be called when another server may answer commands than before. */
  compare(): void {
    this.#common.compare();
  }

  async #track(): Promise<boolean> {
    try {
      const id = String(await this.#link.client.client('ID'));
      const { entries, tokens } = this.keyspace;
      const prefixes = ['BCAST', 'PREFIX', entries, 'PREFIX', tokens];
      await this.#link.client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id, ...prefixes);
      return true;
    } catch (error) {
      if (refusalCode(error) === undefined) throw error;
      return false;
    }
  }

  #told(message: Buffer): void {
    const report = parseReport(message);
    switch (report?.kind) {
      case 'update':
        if (this.#isTracked) this.#echoes.set(report.name, performance.now() + BELIEVED_MS);
        return this.listener.updated(report.name, report.frame, report.at, this.#isTracked ? BELIEVED_MS : Infinity);
      case 'entry':
        return this.listener.changed([report.name]);
      case 'token':
        return this.listener.rotated([report.name]);
      case 'released':
        return this.listener.released([report.name]);
      case undefined:
    }
  }

  /** Keys, or nothing at all for everything. */
  #named(keys: unknown): void {
    if (!Array.isArray(keys)) return this.listener.flushed();
    const { entries, tokens } = this.keyspace;
    const changed: string[] = [];
    const rotated: string[] = [];
    for (const key of keys.map(String)) {
      if (key.startsWith(tokens)) rotated.push(key.slice(tokens.length));
      else if (key.startsWith(entries) && !this.#isEcho(key.slice(entries.length)))
        changed.push(key.slice(entries.length));
    }
    if (changed.length > 0) this.listener.changed(changed);
    if (rotated.length > 0) this.listener.rotated(rotated);
  }

  /** Whether the server names an update that was heard of already. */
  #isEcho(key: string): boolean {
    const until = this.#echoes.get(key);
    if (until === undefined) return false;
    this.#echoes.delete(key);
    return performance.now() < until;
  }

  #lose(): void {
    this.#echoes.clear();
    this.#common.listenTo(undefined);
    this.#turn(false);
  }

  #turn(isHeard: boolean): void {
    if (isHeard === this.#hearing) return;
    this.#hearing = isHeard;
    if (isHeard) this.listener.heard();
    else if (!this.#link.isClosed) this.listener.lost(this.#link.silentMs);
  }
}
