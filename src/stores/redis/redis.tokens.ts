import { randomText } from '../../core/random/random.text.js';
import type { RedisClusterLineage } from './redis.cluster-lineage.js';
import type { RedisConnection } from './redis.connection.js';
import type { RedisKeyspace } from './redis.keyspace.js';
import type { RedisLineage } from './redis.lineage.js';
import type { RedisReadBatch } from './redis.read-batch.js';
import { tokenReport } from './redis.reports.js';
import * as scripts from './redis.scripts.js';

/** The tokens, each marked by the run of the server that keeps it. */
export class RedisTokens {
  constructor(
    private readonly connection: RedisConnection,
    private readonly reads: RedisReadBatch,
    private readonly lineage: RedisLineage | RedisClusterLineage,
    /** Not settled before there is a connection. */
    private readonly keyspace: () => RedisKeyspace,
  ) {}

  /** Those of before, or new ones. */
  async read(names: readonly string[]): Promise<string[]> {
    if (names.length === 0) return [];
    return this.lineage.mark('tokens', async () => {
      const found = await this.reads.get(names.map((name) => this.keyspace().token(name)));
      const missing = names.filter((_, i) => found[i] === undefined);
      const created = await this.#mint('tokens', scripts.CREATE_TOKEN, missing);
      let next = 0;
      return found.map((token) => token?.toString() ?? (created[next++] as string));
    });
  }

  async rotate(names: readonly string[], soft: boolean): Promise<string[]> {
    const script = soft ? scripts.SOFTEN_TOKEN : scripts.ROTATE_TOKEN;
    return this.lineage.mark('rotate', () => this.#mint('rotate', script, names));
  }

  async stamp(name: string, stamp: string, graceMs: number): Promise<string> {
    const grace = String(Math.floor(graceMs));
    const [token] = await this.lineage.mark('stamp', () =>
      this.#mint('stamp', scripts.STAMP_TOKEN, [name], stamp, grace),
    );
    return token as string;
  }

  async #mint(
    operation: string,
    script: scripts.RedisScript,
    names: readonly string[],
    ...more: string[]
  ): Promise<string[]> {
    const minted = await this.connection.runEach(operation, script, names, (name) => ({
      keys: [this.keyspace().token(name)],
      args: [randomText(16), ...more, this.keyspace().changes, tokenReport(name)],
    }));
    return minted.map(String);
  }
}
