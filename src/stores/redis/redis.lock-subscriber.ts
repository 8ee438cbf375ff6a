import type { Redis, RedisOptions } from 'ioredis';
import { RedisListeningLink } from './redis.listening-link.js';

/** Hears which locks were handed over to this process, through a connection of its own that is opened when somebody first waits. */
export class RedisLockSubscriber {
  readonly #link: RedisListeningLink;
  #hearing = false;

  constructor(
    source: Redis,
    options: RedisOptions,
    readonly channel: string,
    private readonly told: (message: string) => void,
    private readonly missed: () => void,
  ) {
    this.#link = new RedisListeningLink(source, options, {
      ready: () => this.#listen(),
      lost: () => (this.#hearing = false),
    });
  }

  /** While it is not, the server is told no channel, and waiters poll. */
  get isHearing(): boolean {
    return this.#hearing;
  }

  start(): void {
    this.#link.client.on('message', (_channel, message) => this.told(message));
    this.#link.open();
  }

  close(): Promise<void> {
    this.#hearing = false;
    return this.#link.close();
  }

  async #listen(): Promise<void> {
    await this.#link.client.subscribe(this.channel);
    if (!this.#link.isReady) return;
    this.#hearing = true;
    this.missed();
  }
}
