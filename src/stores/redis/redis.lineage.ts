import type { Redis } from 'ioredis';
import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import { SOFT_MARK, STAMP_MARK } from '../contract/cache-store.js';

const RUN_LENGTH = 10;

/**
 * Which run of which server answers. It is made part of every token, so that a restart (which may restore an old snapshot) and a failover
 * (whose replica may have missed the last invalidations) void what was stored before. Not known, and so left out, where INFO is refused.
 */
export class RedisLineage {
  #run: Promise<string> = Promise.resolve('');
  #last: string | undefined;
  #connections = 0;

  /**
   * @param connected settles when the first attempt to connect has
   * @param changed told, before any other answer of a new server is seen, that it is not the one of before
   */
  constructor(
    private readonly connected: () => Promise<void>,
    private readonly changed: () => void,
  ) {}

  watch(client: Redis): void {
    const ask = (): void => {
      this.#connections++;
      // First on its connection, so that it is answered before anything else is.
      this.#run = client.info('server').then(
        (info) => this.#learn(info),
        () => '',
      );
    };
    client.on('ready', ask);
    client.on('close', () => this.#connections++);
    if (client.status === 'ready') ask();
  }

  /** Nothing to wait for before a reply is believed: the server is asked first on each connection. */
  known(): undefined {
    return undefined;
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

  #learn(info: string): string {
    const run = runOf(info);
    if (this.#last !== undefined && this.#last !== run) this.changed();
    return (this.#last = run);
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
