import 'reflect-metadata';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Column, DataSource, Entity, PrimaryGeneratedColumn, type Repository } from 'typeorm';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { CacheService, defineEntity, TieredCacheModule } from '../../src/index.js';
import { TypeOrmInvalidationModule } from '../../src/invalidation/typeorm/index.js';
import { boot, closeAll } from '../nest/boot.js';
import { PostgresServer } from '../servers/postgres.server.js';

@Entity()
class Item {
  @PrimaryGeneratedColumn() id!: number;
  @Column({
    type: 'text',
    transformer: { to: (text: string) => text.trim().toLowerCase(), from: (text: string) => text },
  })
  category!: string;
  @Column({ type: 'numeric', precision: 10, scale: 2, default: 0 }) price!: string | number;
  @Column({ type: 'date', nullable: true }) day!: string | Date | null;
}

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await PostgresServer.start();
});
afterAll(() => postgres.stop());
afterEach(closeAll);

/** The items, none yet, and how many of them a cached list shows. */
async function listing(
  where: Record<string, string>,
): Promise<{ items: Repository<Item>; list: () => Promise<number> }> {
  const Items = defineEntity('Item', { filters: [Object.keys(where)] });
  const app = await boot([
    TieredCacheModule.forRoot({ entities: [Items] }),
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: postgres.url,
      entities: [Item],
      synchronize: true,
      retryAttempts: 0,
    }),
    TypeOrmInvalidationModule.forRoot(),
  ]);
  const items = app.get(DataSource).getRepository(Item);
  await items.clear();
  const list = () =>
    app
      .get(CacheService)
      .getOrSet('list', () => items.countBy(where), { ttl: '1h', tags: Items.listTags({ ids: [], where }) });
  return { items, list };
}

it.each([
  ['a transformer', { category: ' Maths' }, { category: 'maths' }],
  ['numeric', { category: 'x', price: 10 }, { price: '10.00' }],
  ['date', { category: 'x', day: new Date('2026-01-02T00:00:00Z') }, { day: '2026-01-02' }],
])('save(new) takes the list that shows the row: %s', async (_name, row, where) => {
  const { items, list } = await listing(where);
  expect(await list()).toBe(0);
  await items.save(row);
  expect(await list()).toBe(1);
});

it.each([
  ['a transformer', { category: ' Physics' }, { category: 'physics' }],
  ['numeric', { price: 10 }, { price: '10.00' }],
  ['date', { day: new Date('2026-01-02T00:00:00Z') }, { day: '2026-01-02' }],
])('save(changed) takes the list that the row enters: %s', async (_name, change, where) => {
  const { items, list } = await listing(where);
  const item = await items.save({ category: 'maths' });
  expect(await list()).toBe(0);
  await items.save({ id: item.id, ...change });
  expect(await list()).toBe(1);
});
