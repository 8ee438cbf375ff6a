import { performance } from 'node:perf_hooks';
import { isCluster, type RedisClient } from './redis.driver.js';

/** How long a connection that owes answers may stay silent, in milliseconds. */
const SILENCE_MS = 1000;

/**
 * Cuts a connection on which answers are due and nothing arrives, so that the driver opens a new one: on a half-open link it would
 * wait for ever. Costs two counters a command; its timer runs only while commands do.
 */
export class RedisWatchdog {
  #due = 0;
  #connections = 0;
  /** The driver has given one up: its answer is as missing as before. */
  #isOwed = false;
  #since = 0;
  #bytes = -1;
  #timer: NodeJS.Timeout | undefined;
  #client: RedisClient | undefined;

  watch(client: RedisClient): void {
    if (isCluster(client)) return;
    this.#client = client;
    client.on('close', this.#forget);
  }

  /** Whether answers are due. */
  get isDue(): boolean {
    return this.#due > 0;
  }

  /** Returns what {@link end} is to be given. */
  begin(): number {
    if (this.#due++ === 0 && !this.#isOwed) this.#since = performance.now();
    if (this.#client && !this.#timer) this.#timer = setInterval(() => this.#check(), SILENCE_MS / 2).unref();
    return this.#connections;
  }

  /** @param isAnswered be it by a refusal */
  end(connection: number, isAnswered: boolean): void {
    if (connection !== this.#connections) return;
    this.#due--;
    if (isAnswered) this.#since = performance.now();
    // On a connection that has ended nothing is to be waited for.
    else this.#isOwed = this.#client?.status === 'ready';
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** A client that is lent goes on without us. */
  close(): void {
    this.stop();
    this.#client?.off('close', this.#forget);
  }

  /** Of what was due on a connection that has gone, the driver may forget some without a word. */
  readonly #forget = (): void => {
    this.#connections++;
    this.#due = 0;
    this.#isOwed = false;
  };

  #check(): void {
    const received = this.#received();
    const isSilent = received === this.#bytes;
    this.#bytes = received;
    if (!isSilent) this.#isOwed = false;
    if (!this.#isDueOrOwed) return this.stop();
    if (!isSilent || performance.now() - this.#since < SILENCE_MS) return;
    // After a blocked event loop the answers may just not have been read yet: let them in first.
    setImmediate(() => {
      if (!this.#isDueOrOwed || this.#received() !== received) return;
      this.#isOwed = false;
      cut(this.#client);
    });
  }

  get #isDueOrOwed(): boolean {
    return this.#due > 0 || this.#isOwed;
  }

  #received(): number {
    return socketOf(this.#client)?.bytesRead ?? 0;
  }
}

/** Cuts the connection at once; the driver reconnects. */
export function cut(client: RedisClient | undefined): void {
  socketOf(client)?.destroy();
}

/** Cuts a connection that was opened but does not get ready within `ms` (the driver itself would wait for ever). */
export function guardHandshake(client: RedisClient, ms: number): void {
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => clearTimeout(timer);
  client.on('connect', () => {
    stop();
    timer = setTimeout(() => cut(client), ms).unref();
  });
  for (const event of ['ready', 'close', 'end']) client.on(event, stop);
}

function socketOf(client: RedisClient | undefined) {
  return client && !isCluster(client) ? (client.stream as typeof client.stream | undefined) : undefined;
}
