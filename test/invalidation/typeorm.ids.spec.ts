import 'reflect-metadata';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Column, DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { CacheService, entityTags, TieredCacheModule } from '../../src/index.js';
import { TypeOrmInvalidationModule } from '../../src/invalidation/typeorm/index.js';
import { boot, closeAll } from '../nest/boot.js';
import { PostgresServer } from '../servers/postgres.server.js';

@Entity()
class Doc {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @Column('text') title!: string;
}
@Entity()
class Num {
  @PrimaryGeneratedColumn() id!: number;
  @Column('text') title!: string;
}

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await PostgresServer.start();
});
afterAll(() => postgres.stop());
afterEach(closeAll);

it.each([
  ['uuid', Doc, (id: unknown) => String(id).toUpperCase()],
  ['integer', Num, (id: unknown) => `0${String(id)}`],
] as const)('update(id) takes the row, however its id is spelled: %s', async (_name, type, spelled) => {
  const app = await boot([
    TieredCacheModule.forRoot(),
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: postgres.url,
      entities: [Doc, Num],
      synchronize: true,
      retryAttempts: 0,
    }),
    TypeOrmInvalidationModule.forRoot(),
  ]);
  const docs = app.get(DataSource).getRepository<{ id: never; title: string }>(type);
  const { id } = await docs.save({ title: 'old' } as never as { id: never; title: string });
  const read = () =>
    app.get(CacheService).getOrSet('doc', async () => (await docs.findOneByOrFail({ id })).title, {
      ttl: '1h',
      tags: entityTags(type.name, id),
    });
  expect(await read()).toBe('old');
  const { affected } = await docs.update(spelled(id), { title: 'new' });
  expect(affected).toBe(1);
  expect(await read()).toBe('new');
});
