import { performance } from 'node:perf_hooks';
import type { Redis, RedisOptions } from 'ioredis';
import { refusalCode } from './redis.errors.js';
import { RedisHeartbeat } from './redis.heartbeat.js';
import { closeClient } from './redis.lifecycle.js';
import { cut, guardHandshake } from './redis.watchdog.js';

const RECONNECT_MS = 250;
const ignore = (): undefined => {};

/** What becomes of the link. */
export interface LinkEvents {
  /** Connected: to be subscribed anew. What it rejects with is of no consequence: the link is lost then, too. */
  ready(): Promise<void>;
  /** Nothing is heard any more; told again and again. */
  lost(): void;
}

/** A connection that only listens: opened again whenever it is lost, and cut when it is silent. */
export class RedisListeningLink {
  readonly client: Redis;
  readonly #heartbeat: RedisHeartbeat;
  #heardUntil = -Infinity;
  #closed = false;

  /** @param options on top of those of `source`; key prefixes are part of what is subscribed to */
  constructor(
    source: Redis,
    options: RedisOptions,
    private readonly events: LinkEvents,
  ) {
    this.client = source.duplicate({ ...options, keyPrefix: '', enableAutoPipelining: false });
    this.#heartbeat = new RedisHeartbeat(
      () => this.#ping(),
      () => {
        this.#lose();
        cut(this.client);
      },
    );
  }

  get isReady(): boolean {
    return !this.#closed && this.client.status === 'ready';
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** For how long there is no telling whether something was missed. */
  get silentMs(): number {
    return performance.now() - this.#heardUntil;
  }

  open(): void {
    const { client } = this;
    client.on('error', ignore);
    guardHandshake(client, client.options.connectTimeout ?? 1000);
    client.on('ready', () => {
      this.#heardUntil = performance.now();
      this.#heartbeat.start();
      this.events.ready().catch(ignore);
    });
    client.on('close', () => this.#lose());
    client.on('end', () => {
      this.#lose();
      if (!this.#closed) setTimeout(() => !this.#closed && client.connect().catch(ignore), RECONNECT_MS).unref();
    });
    client.connect().catch(ignore);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#heartbeat.stop();
    await closeClient(this.client);
  }

  /** What was sent before the answer has come before it. */
  async #ping(): Promise<void> {
    const asked = performance.now();
    try {
      await this.client.ping();
    } catch (error) {
      if (refusalCode(error) === undefined) throw error;
    }
    this.#heardUntil = asked;
  }

  #lose(): void {
    this.#heartbeat.stop();
    this.events.lost();
  }
}
