import { DataTypes, Model, Sequelize, type ModelAttributes } from 'sequelize';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type { EntityRow } from '../../src/invalidation/entity-change.js';
import { CacheService, defineEntity, EntityInvalidationService, TieredCacheModule } from '../../src/index.js';
import { invalidateFromSequelize } from '../../src/invalidation/sequelize/index.js';
import { boot, closeAll } from '../nest/boot.js';
import { PostgresServer } from '../servers/postgres.server.js';

const CAPITALS = '0A0B0C0D-1111-4222-8333-AAAABBBBCCCC';

const COLUMNS: ModelAttributes = {
  id: { type: DataTypes.INTEGER, autoIncrement: true, primaryKey: true },
  price: DataTypes.DECIMAL(10, 2),
  rate: DataTypes.DOUBLE,
  shelf: DataTypes.INTEGER,
  big: DataTypes.BIGINT,
  owner: DataTypes.UUID,
  code: DataTypes.CHAR(5),
  name: DataTypes.CITEXT,
  day: DataTypes.DATEONLY,
  at: DataTypes.DATE,
  isOpen: DataTypes.BOOLEAN,
  size: DataTypes.ENUM('s', 'l'),
  category: {
    type: DataTypes.STRING,
    set(this: Model, text: string) {
      this.setDataValue('category', text.trim().toLowerCase());
    },
  },
};
class Item extends Model {}
class Part extends Model {}

let postgres: PostgresServer;
let sequelize: Sequelize;
beforeAll(async () => {
  postgres = await PostgresServer.start();
  sequelize = new Sequelize(postgres.url, { logging: false });
  await sequelize.query('CREATE EXTENSION IF NOT EXISTS citext');
  Item.init(COLUMNS, { sequelize, timestamps: false });
  Part.init({ id: { type: DataTypes.UUID, primaryKey: true }, name: DataTypes.TEXT }, { sequelize, timestamps: false });
  await sequelize.sync();
});
beforeEach(() => sequelize.truncate({ restartIdentity: true }));
afterAll(async () => {
  await sequelize.close();
  await postgres.stop();
});

let stop: () => void;
afterEach(async () => {
  stop();
  await closeAll();
});

interface Heard {
  readonly cache: CacheService;
  readonly entities: EntityInvalidationService;
}

async function hear(...entities: Array<ReturnType<typeof defineEntity>>): Promise<Heard> {
  const app = await boot([TieredCacheModule.forRoot({ entities })]);
  stop = invalidateFromSequelize(sequelize, app.get(EntityInvalidationService));
  return { cache: app.get(CacheService), entities: app.get(EntityInvalidationService) };
}

const READS_OTHERWISE: ReadonlyArray<[string, object, Record<string, unknown>]> = [
  ['DECIMAL', { price: 10 }, { price: '10.00' }],
  ['DECIMAL from a text', { price: '10' }, { price: '10.00' }],
  ['DOUBLE', { rate: '1e1' }, { rate: 10 }],
  ['INTEGER from a text', { shelf: '042' }, { shelf: 42 }],
  ['BIGINT from a text', { big: '+7' }, { big: '7' }],
  ['UUID in capitals', { owner: CAPITALS }, { owner: CAPITALS.toLowerCase() }],
  ['CHAR', { code: 'ab' }, { code: 'ab   ' }],
  ['CITEXT', { name: 'Ann' }, { name: 'ann' }],
  ['DATEONLY', { day: new Date('2026-01-02T12:00:00Z') }, { day: '2026-01-02' }],
  ['a setter', { category: ' Maths' }, { category: 'maths' }],
];

it.each(READS_OTHERWISE)('a new row takes the list that shows it: %s', async (_name, row, where) => {
  const Items = defineEntity('Item', { filters: [Object.keys(where)] });
  const { cache } = await hear(Items);
  const tags = Items.listTags({ ids: [], where });
  const list = () => cache.getOrSet('list', () => Item.count({ where: where as never }), { ttl: '1h', tags });
  expect(await list()).toBe(0);
  // `returning: false`: as on databases that do not tell what they have stored.
  await Item.create(row as never, { returning: false });
  expect(await list()).toBe(1);
});

it.each(READS_OTHERWISE)('a changed row takes the list that it enters: %s', async (_name, change, where) => {
  const Items = defineEntity('Item', { filters: [Object.keys(where)] });
  const { cache } = await hear(Items);
  const id = (await Item.create({})).get('id') as number;
  const tags = Items.listTags({ ids: [], where });
  const list = () => cache.getOrSet('list', () => Item.count({ where: where as never }), { ttl: '1h', tags });
  expect(await list()).toBe(0);
  await (await Item.findByPk(id, { rejectOnEmpty: true })).update(change);
  expect(await list()).toBe(1);
});

it('the row is found by an id that reads otherwise', async () => {
  const [Items, Parts] = [defineEntity('Item', { filters: [[]] }), defineEntity('Part', { filters: [[]] })];
  const { cache } = await hear(Items, Parts);
  await Item.create({ shelf: 1 });
  await Part.create({ id: CAPITALS, name: 'a' });
  const shown = (): Promise<unknown[]> =>
    Promise.all([
      cache.getOrSet('item', async () => (await Item.findByPk(1))?.get('shelf'), { ttl: '1h', tags: Items.tags(1) }),
      cache.getOrSet('part', async () => (await Part.findByPk(CAPITALS))?.get('name'), {
        ttl: '1h',
        tags: Parts.tags(CAPITALS.toLowerCase()),
      }),
    ]);
  expect(await shown()).toEqual([1, 'a']);
  await Item.build({ id: '01', shelf: 1 }, { isNewRecord: false }).update({ shelf: 2 });
  await Part.build({ id: CAPITALS, name: 'a' }, { isNewRecord: false }).update({ name: 'b' });
  expect(await shown()).toEqual([2, 'b']);
});

it('what reads in the database as it does here is told', async () => {
  const { entities } = await hear();
  const apply = vi.spyOn(entities, 'apply');
  const row = {
    shelf: '42',
    owner: CAPITALS.toLowerCase(),
    day: '2026-01-02',
    at: new Date(),
    isOpen: true,
    size: 's',
  };
  const item = await Item.create({ category: 'x', big: null });
  apply.mockClear();
  await item.update(row);
  expect(apply.mock.calls).toEqual([
    [[{ entity: 'Item', kind: 'update', id: 1, before: expect.anything(), after: expect.objectContaining(row) }]],
  ]);
  const { before } = [...(apply.mock.calls[0]?.[0] ?? [])][0] as { before: EntityRow };
  expect(before).toMatchObject({ category: 'x', big: null, shelf: null });
});

it('texts are not, where the database may compare them in another way', async () => {
  const { entities } = await hear();
  vi.spyOn(sequelize, 'getDialect').mockReturnValue('mysql');
  const apply = vi.spyOn(entities, 'apply');
  await Item.create({ category: 'x', size: 's', shelf: 1, at: new Date(1) });
  vi.restoreAllMocks();
  const { after } = [...(apply.mock.calls[0]?.[0] ?? [])][0] as { after: EntityRow };
  expect(after).toMatchObject({ shelf: 1 });
  for (const column of ['category', 'size', 'at']) expect(after).not.toHaveProperty(column);
});
