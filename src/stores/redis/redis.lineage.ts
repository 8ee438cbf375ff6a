import type { Redis } from 'ioredis';
import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import { refusalCode } from './redis.errors.js';
import { SOFT_MARK, STAMP_MARK } from '../contract/cache-store.js';

const RUN_LENGTH = 10;
const ASK_AGAIN_MS = 100;

/** A server as one connection knows it. */
export interface KnownServer {
  /** `''`: the user may not ask. */
  readonly run: string;
  /** When the connection found it, by `performance.now()`. */
  readonly since: number;
}

/**
 * Which run of which server answers. It is made part of every token, so that a restart (which may restore an old snapshot) and a failover
 * (whose replica may have missed the last invalidations) void what was stored before. Not known, and so left out, where INFO is refused.
 */
export class RedisLineage {
  #run: Promise<string> = Promise.resolve('');
  #asking: Promise<string> | undefined;
  #last: string | undefined;
  #server: KnownServer | undefined;
  #connections = 0;
  #client: Redis | undefined;

  /**
   * @param connected settles when the first attempt to connect has
   * @param changed told, before any other answer of a new server is seen, that it is not the one of before
   * @param found told after that which server answers now, be it the same
   */
  constructor(
    private readonly connected: () => Promise<void>,
    private readonly changed: () => void,
    private readonly found: () => void,
  ) {}

  /** Who answers commands; `undefined`: nobody, or that is not known yet. */
  get server(): KnownServer | undefined {
    return this.#server;
  }

  watch(client: Redis): void {
    this.#client = client;
    client.on('ready', this.ask);
    client.on('close', this.#lose);
    if (client.status === 'ready') this.ask();
  }

  /** Asks whoever answers now, at every connection, and where it was refused an answer. */
  readonly ask = (): void => {
    const client = this.#client;
    if (!client) return;
    const asking: Promise<string> = this.#untilTold(client, ++this.#connections).then((server) =>
      server ? this.#learn(asking, server) : '',
    );
    this.#run = this.#asking = asking;
  };

  /** A client that is lent goes on without us. */
  close(): void {
    this.#client?.off('ready', this.ask);
    this.#client?.off('close', this.#lose);
    this.#client = this.#asking = undefined;
  }

  /** A client that is lent may be impatient: what it has given up is asked again. `undefined`: the connection has gone. */
  async #untilTold(client: Redis, connection: number): Promise<KnownServer | undefined> {
    while (connection === this.#connections && this.#client) {
      const since = performance.now();
      try {
        return { run: await askRun(client), since };
      } catch {
        await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS).unref());
      }
    }
    return undefined;
  }

  readonly #lose = (): void => {
    this.#connections++;
    this.#asking = this.#server = undefined;
  };

  /**
   * What a reply waits for before it is believed. The server is asked first on each connection, so that nothing is to be waited for; but for what is
   * sent between the driver's being ready and its saying so.
   */
  known(): Promise<unknown> | undefined {
    return this.#asking;
  }

  /** What `read` resolves to, as tokens of this run. @throws StoreUnavailableError when the connection was replaced meanwhile */
  async mark(operation: string, read: () => Promise<string[]>): Promise<string[]> {
    await this.connected();
    const connections = this.#connections;
    const tokens = await read();
    const run = await this.#run;
    if (connections !== this.#connections) throw new StoreUnavailableError('redis', operation, 'connection');
    return tokens.map((token) => marked(token, run));
  }

  #learn(asking: Promise<string>, server: KnownServer): string {
    const { run } = server;
    // Its connection has gone meanwhile.
    if (asking !== this.#asking) return run;
    this.#asking = undefined;
    this.#server = server;
    if (this.#last !== undefined && this.#last !== run) this.changed();
    this.#last = run;
    this.found();
    return run;
  }
}

/** Which run answers on that connection; `''`: it does not say. Rejects when the connection fails. */
export async function askRun(client: Redis): Promise<string> {
  try {
    return runOf(await client.info('server'));
  } catch (error) {
    if (refusalCode(error) === undefined) throw error;
    return '';
  }
}

/** From the server's part of INFO. */
export function runOf(info: string): string {
  return /^run_id:(\w+)/m.exec(info)?.[1]?.slice(0, RUN_LENGTH) ?? '';
}

/** In the part that a soft rotation keeps, and in the token that has a grace, too: nothing of another run is merely stale. */
export function marked(token: string, run: string): string {
  const parts = token.split(STAMP_MARK);
  return parts.map((part, i) => (i % 2 === 0 ? markedAlone(part, run) : part)).join(STAMP_MARK);
}

function markedAlone(token: string, run: string): string {
  const softAt = token.indexOf(SOFT_MARK);
  return softAt < 0 ? `${token}.${run}` : `${token.slice(0, softAt)}.${run}${token.slice(softAt)}`;
}
