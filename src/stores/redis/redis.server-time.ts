import type { Redis } from 'ioredis';

/** More than a clock goes wrong by itself (100 millionths), or is slowed down or hurried on by who keeps it right (500). */
const DRIFT = 1e-3;

/** A clock that is put back is noticed so soon. */
const SOON_MS = 1000;

/**
 * What the time of a connection's server is at least, without asking: it was so much when an answer was sent, and the answer has been here since.
 * Of each answer as much is lost as it was on its way. A server whose clock is put back is believed to be ahead until its next answer.
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

  close(): void {
    this.#client?.off('close', this.#forget);
    this.#client = undefined;
  }

  /** Which connection an answer belongs to. */
  get connection(): number {
    return this.#connections;
  }

  /** An answer, in milliseconds, to what was asked on that connection. The newest counts, be it less than the one before. */
  learn(time: number, connection: number): void {
    if (connection !== this.#connections) return;
    this.#told = performance.now();
    this.#ahead = time - this.#told;
  }

  /** Whether it is to be asked for along with what is asked anyway. */
  get isDue(): boolean {
    return performance.now() - this.#told > SOON_MS;
  }

  /** In milliseconds; `undefined`: nothing was told on this connection yet. */
  get least(): number | undefined {
    if (this.#ahead === -Infinity) return undefined;
    const now = performance.now();
    return now + this.#ahead - DRIFT * (now - this.#told);
  }

  /** The next connection may be to another server. */
  readonly #forget = (): void => {
    this.#connections++;
    this.#ahead = -Infinity;
  };
}

/** Of the server's answer to TIME. */
export function millisecondsOf([seconds, micros]: readonly unknown[]): number {
  return Number(seconds) * 1000 + Number(micros) / 1000;
}
