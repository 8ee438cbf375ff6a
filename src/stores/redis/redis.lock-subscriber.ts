import type { Redis, RedisOptions } from 'ioredis';
import { RedisHeartbeat } from './redis.heartbeat.js';
import { closeClient } from './redis.lifecycle.js';
import { cut, guardHandshake } from './redis.watchdog.js';

/** Hears which locks were handed over to this process, through a connection of its own that is opened when somebody first waits. */
export class RedisLockSubscriber {
  readonly #client: Redis;
  readonly #heartbeat: RedisHeartbeat;
  #hearing = false;
  #closed = false;

  constructor(
    source: Redis,
    options: RedisOptions,
    readonly channel: string,
    private readonly told: (message: string) => void,
    private readonly missed: () => void,
  ) {
    this.#client = source.duplicate({ ...options, keyPrefix: '' });
    this.#heartbeat = new RedisHeartbeat(
      () => this.#client.ping(),
      () => {
        this.#hearing = false;
        cut(this.#client);
      },
    );
  }

  /** While it is not, the server is told no channel, and waiters poll. */
  get isHearing(): boolean {
    return this.#hearing;
  }

  start(): void {
    const client = this.#client;
    client.on('error', () => {});
    guardHandshake(client, client.options.connectTimeout ?? 1000);
    client.on('ready', () => void this.#listen().catch(() => {}));
    client.on('message', (_channel, message) => this.told(message));
    client.on('close', () => this.#lose());
    client.on('end', () => {
      this.#lose();
      if (!this.#closed) setTimeout(() => !this.#closed && client.connect().catch(() => {}), 250).unref();
    });
    client.connect().catch(() => {});
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#lose();
    await closeClient(this.#client);
  }

  async #listen(): Promise<void> {
    this.#heartbeat.start();
    await this.#client.subscribe(this.channel);
    if (this.#closed || this.#client.status !== 'ready') return;
    this.#hearing = true;
    this.missed();
  }

  #lose(): void {
    this.#heartbeat.stop();
    this.#hearing = false;
  }
}
