import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { CacheService, defineEntity, EntityInvalidationService, TieredCacheModule } from '../../src/index.js';
import { invalidateFromPrisma } from '../../src/invalidation/prisma/index.js';
import { boot, closeAll } from '../nest/boot.js';
import { PostgresServer } from '../servers/postgres.server.js';
import { prismaClient } from './prisma-client.js';

type Delegate = Record<'update' | 'delete' | 'upsert', (args: object) => PromiseLike<unknown>>;
interface Client {
  shelf: Delegate;
  part: Delegate;
  $extends: unknown;
  $transaction: unknown;
  $disconnect(): Promise<void>;
}
interface Generated {
  PrismaClient: new (options: { adapter: unknown }) => Client;
}

const ID = '0a0b0c0d-1111-4222-8333-aaaabbbbcccc';
const OTHER = '0a0b0c0d-1111-4222-8333-aaaabbbbdddd';
const NEW = '99999999-1111-4222-8333-aaaabbbbdddd';
const CAPITALS = ID.toUpperCase();
const BARE = ID.replaceAll('-', '');
const Parts = defineEntity('Part', { filters: [[]] });

let postgres: PostgresServer;
let database: pg.Client;
let plain: Client;
beforeAll(async () => {
  postgres = await PostgresServer.start();
  database = new pg.Client(postgres.url);
  // It is ended with its server.
  database.on('error', () => undefined);
  await database.connect();
  await database.query(
    'CREATE TABLE "Shelf" (id int PRIMARY KEY); CREATE TABLE "Part" (id uuid PRIMARY KEY, name text, "shelfId" int)',
  );
  const { PrismaClient } = await prismaClient<Generated>();
  plain = new PrismaClient({ adapter: new PrismaPg({ connectionString: postgres.url }) });
});
afterAll(async () => {
  await plain?.$disconnect();
  await database?.end();
  await postgres?.stop();
});

let client: Client;
let cache: CacheService;
beforeEach(async () => {
  const app = await boot([TieredCacheModule.forRoot({ entities: [Parts] })]);
  client = invalidateFromPrisma(plain, app.get(EntityInvalidationService));
  cache = app.get(CacheService);
  await database.query('TRUNCATE "Shelf", "Part"; INSERT INTO "Shelf" VALUES (1), (2)');
  await database.query('INSERT INTO "Part" VALUES ($1, $3, 2), ($2, $3, 2)', [ID, OTHER, 'a']);
});
afterEach(closeAll);

/** What a page about that part shows. */
function shown(id: string): Promise<unknown> {
  const row = async (): Promise<unknown> =>
    (await database.query('SELECT * FROM "Part" WHERE id = $1', [id])).rows[0] ?? 'none';
  return cache.getOrSet(['part', id], row, { ttl: '1h', tags: Parts.tags(id) });
}

const where = { id: 1 };
const parts = (writes: object) => (): PromiseLike<unknown> => client.shelf.update({ where, data: { parts: writes } });
const given = 'UPDATE "Part" SET "shelfId" = 1';

it.each<[string, string | undefined, () => PromiseLike<unknown>]>([
  ['connect', undefined, parts({ connect: { id: CAPITALS } })],
  ['connect, without hyphens', undefined, parts({ connect: [{ id: BARE }] })],
  ['disconnect', given, parts({ disconnect: [{ id: CAPITALS }] })],
  ['delete', given, parts({ delete: { id: CAPITALS } })],
  ['update', given, parts({ update: { where: { id: CAPITALS }, data: { name: 'b' } } })],
  ['update()', undefined, () => client.part.update({ where: { id: CAPITALS }, data: { name: 'b' } })],
  [
    'update() with a select without the id',
    undefined,
    () => client.part.update({ where: { id: CAPITALS }, data: { name: 'b' }, select: { name: true } }),
  ],
  [
    'upsert() with a select without the id',
    undefined,
    () =>
      client.part.upsert({
        where: { id: BARE },
        create: { id: ID, name: 'c' },
        update: { name: 'b' },
        select: { name: true },
      }),
  ],
  [
    'delete() with a select without the id',
    undefined,
    () => client.part.delete({ where: { id: CAPITALS }, select: { name: true } }),
  ],
])('a row is found by an id in another spelling: %s', async (_what, before, write) => {
  if (before !== undefined) await database.query(before);
  const first = await shown(ID);
  await write();
  expect(await shown(ID)).not.toEqual(first);
});

it.each<[string, () => PromiseLike<unknown>]>([
  ['update()', () => client.part.update({ where: { id: CAPITALS, name: 'a' }, data: { id: NEW } })],
  [
    'update() with a select without the id',
    () => client.part.update({ where: { id: ID }, data: { id: { set: NEW } }, select: { name: true } }),
  ],
  ['within data', parts({ update: { where: { id: ID }, data: { id: NEW } } })],
])('a new id takes both rows: %s', async (_what, write) => {
  await database.query(given);
  expect([await shown(ID), await shown(NEW)]).toEqual([{ id: ID, name: 'a', shelfId: 1 }, 'none']);
  await write();
  expect([await shown(ID), await shown(NEW)]).toEqual(['none', { id: NEW, name: 'a', shelfId: 1 }]);
});

it('as it is stored, no more than the row is taken', async () => {
  await database.query(given);
  const other = await shown(OTHER);
  await database.query('UPDATE "Part" SET name = \'unseen\' WHERE id = $1', [OTHER]);
  await parts({ update: { where: { id: ID }, data: { name: 'b' } } })();
  await client.part.update({ where: { id: ID }, data: { name: 'c' }, select: { name: true } });
  expect(await shown(OTHER)).toEqual(other);
});
