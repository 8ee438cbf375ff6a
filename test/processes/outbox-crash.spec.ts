import { TypeOrmModule } from '@nestjs/typeorm';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { EntitySchema } from 'typeorm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CacheService, entityTags, TieredCacheModule } from '../../src/index.js';
import { outboxTableSql } from '../../src/invalidation/outbox/index.js';
import { TypeOrmInvalidationModule } from '../../src/invalidation/typeorm/index.js';
import { redis } from '../../src/stores/redis/index.js';
import { boot, closeAll } from '../nest/boot.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { PostgresServer } from '../servers/postgres.server.js';
import { RedisServer } from '../servers/redis.server.js';
import { compiledEntry, forkWorker } from '../servers/worker.process.js';

const WORKER = fileURLToPath(new URL('../servers/workers/outbox.mjs', import.meta.url));
/** Rows that one process saves at the same time: so many points between commit and publish a kill can hit. */
const ROWS = 40;
/** Of the link from a writer to the store, each way: a publication is so long under way. */
const DELAY_MS = 120;
/** For the reader, to cache what was saved. */
const PAUSE_MS = 60;
const STEP_MS = 10;

interface Counter {
  id: number;
  value: number;
}
const Counter = new EntitySchema<Counter>({
  name: 'Counter',
  columns: { id: { type: Number, primary: true }, value: { type: Number } },
});

let postgres: PostgresServer;
let server: RedisServer;
let pool: pg.Pool;
beforeAll(async () => {
  await compiledEntry();
  [postgres, server] = await Promise.all([
    PostgresServer.start({ settings: { max_connections: '200' } }),
    RedisServer.start(),
  ]);
  pool = new pg.Pool({ connectionString: postgres.url });
  await pool.query(`${outboxTableSql()}; CREATE TABLE counter (id int PRIMARY KEY, value int NOT NULL)`);
  await pool.query(`INSERT INTO counter SELECT id, 0 FROM generate_series(1, 1000) AS id`);
});
afterEach(closeAll);
afterAll(async () => {
  await pool.end();
  await Promise.all([postgres.stop(), server.stop()]);
});

/** A process that reads through the cache, and relays if there is an outbox. */
async function reader(outbox: boolean): Promise<CacheService> {
  const app = await boot([
    // On a busy machine a reply is late for want of a processor: that is no outage.
    TieredCacheModule.forRoot({ remote: redis({ url: server.url }), deadline: '2s' }),
    TypeOrmModule.forRoot({ type: 'postgres', url: postgres.url, entities: [Counter] }),
    TypeOrmInvalidationModule.forRoot({ outbox }),
  ]);
  return app.get(CacheService);
}

async function saved(ids: readonly number[]): Promise<Map<number, number>> {
  const { rows } = await pool.query<Counter>('SELECT id, value FROM counter WHERE id = ANY($1)', [ids]);
  return new Map(rows.map(({ id, value }) => [id, value]));
}

function cached(cache: CacheService, id: number): Promise<number> {
  const load = async (): Promise<number> => (await saved([id])).get(id) as number;
  return cache.getOrSet(['counter', id], load, { ttl: 'forever', tags: entityTags('Counter', id) });
}

/** Which rows a reader is served as they no longer are. */
async function stale(cache: CacheService, ids: readonly number[]): Promise<number[]> {
  const now = await saved(ids);
  const values = await Promise.all(ids.map((id) => cached(cache, id)));
  return ids.filter((id, i) => values[i] !== now.get(id));
}

interface Kill {
  /** Rows that were committed and not published when the process died. */
  readonly hit: number;
  /** Until each of them was seen, but for when the machine was too busy to look; or `undefined` if that took more than `patienceMs`. */
  readonly seenAfterMs: number | undefined;
}

/** Does not count when nobody is let work: a machine that is busy does not make the relay slow. */
class Stopwatch {
  private readonly began = performance.now();
  private last = this.began;
  private heldUpMs = 0;
  private readonly timer = setInterval(() => {
    const now = performance.now();
    const lateMs = now - this.last - STEP_MS;
    if (lateMs > STEP_MS) this.heldUpMs += lateMs;
    this.last = now;
  }, STEP_MS);

  get ms(): number {
    return performance.now() - this.began - this.heldUpMs;
  }

  stop(): void {
    clearInterval(this.timer);
  }
}

/** Kills a process that saves these rows, at a moment of chance. */
async function kill(cache: CacheService, first: number, outbox: 'on' | 'off', patienceMs: number): Promise<Kill> {
  const ids = Array.from({ length: ROWS }, (_, i) => first + i);
  const proxy = await FaultProxy.start(server.port);
  proxy.delay(DELAY_MS);
  await using worker = await forkWorker(WORKER, { args: [`redis://127.0.0.1:${proxy.port}`, postgres.url, outbox] });
  let isOver = false;
  // Whatever is invalidated is cached again at once, so that nothing but a miss of its own can make a row fresh.
  const reading = Promise.all(
    ids.map(async (id) => {
      while (!isOver) {
        await cached(cache, id);
        await sleep(25);
      }
    }),
  );
  await worker.call('count', [ids, PAUSE_MS]);
  await sleep(400 * Math.random());
  // What it has sent and the store has not received goes with it.
  proxy.cut();
  await Promise.all([worker.kill(), proxy.stop()]);
  isOver = true;
  await reading;
  const stopwatch = new Stopwatch();
  try {
    const hit = (await stale(cache, ids)).length;
    while ((await stale(cache, ids)).length > 0) {
      if (stopwatch.ms > patienceMs) return { hit, seenAfterMs: undefined };
      await sleep(20);
    }
    return { hit, seenAfterMs: stopwatch.ms };
  } finally {
    stopwatch.stop();
  }
}

describe('a process that is killed between commit and publication', () => {
  it('without an outbox leaves others with what was', async () => {
    const cache = await reader(false);
    let found: Kill;
    do found = await kill(cache, 901, 'off', 3000);
    while (found.hit === 0);
    expect(found.seenAfterMs).toBeUndefined();
  });

  it(
    'with an outbox loses nothing at 200 points of chance: each is seen within 2 s',
    { timeout: 240_000 },
    async () => {
      const cache = await reader(true);
      const kills: Kill[] = [];
      const lanes = [1, 101, 201].map(async (first) => {
        while (kills.reduce((sum, { hit }) => sum + hit, 0) < 200) kills.push(await kill(cache, first, 'on', 10_000));
      });
      await Promise.all(lanes);
      const slowest = Math.max(...kills.map(({ seenAfterMs = Infinity }) => seenAfterMs));
      expect(slowest, `${kills.length} kills`).toBeLessThan(2000);
      await expect.poll(async () => (await pool.query('SELECT 1 FROM tc_outbox')).rowCount).toBe(0);
    },
  );
});
