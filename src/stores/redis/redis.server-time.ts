import type { Redis } from 'ioredis';

/** Two clocks that nobody sets: quartz is off by up to 100 millionths. */
const DRIFT = 1e-4;

/**
 * What the time of a connection's server is at least, without asking: it was so much when an answer was sent, and the answer has been here since.
 * Of each answer as much is lost as it was on its way.
 */
export class RedisServerTime {
  /** By how much the server's time was ahead of this process's clock at {@link told}, at least. */
  #ahead = -Infinity;
  #told = 0;
  #connections = 0;
  #client: Redis | undefined;

  watch(client: Redis): void {
    this.#client = client;
    client.on('close', this.#forget);
  }

  /** A client that is lent goes on without us. */
  close(): void {
    this.#client?.off('close', this.#forget);
    this.#client = undefined;
  }

  /** Notes what `ask` resolves to, in milliseconds, unless the connection was replaced meanwhile. */
  async note(ask: () => Promise<number>): Promise<number> {
    const connections = this.#connections;
    const time = await ask();
    if (connections === this.#connections) this.#learn(time);
    return time;
  }

  /** In milliseconds; `undefined`: nothing was told on this connection yet. */
  get least(): number | undefined {
    if (this.#ahead === -Infinity) return undefined;
    const now = performance.now();
    return now + this.#ahead - DRIFT * (now - this.#told);
  }

  /** The newest, be it less than the one before: the server's clock may have been set. */
  #learn(time: number): void {
    this.#told = performance.now();
    this.#ahead = time - this.#told;
  }

  /** The next connection may be to another server. */
  readonly #forget = (): void => {
    this.#connections++;
    this.#ahead = -Infinity;
  };
}
