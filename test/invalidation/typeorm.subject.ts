import { TypeOrmModule } from '@nestjs/typeorm';
import pg from 'pg';
import { DataSource } from 'typeorm';
import type { CacheKey } from '../../src/core/cache.options.js';
import { CacheService, entityTags, TieredCacheModule, type TieredCacheOptions } from '../../src/index.js';
import { TypeOrmInvalidationModule, type TypeOrmInvalidationOptions } from '../../src/invalidation/typeorm/index.js';
import { boot } from '../nest/boot.js';
import { PostgresServer } from '../servers/postgres.server.js';
import { CourseLists, ENTITIES } from './typeorm.entities.js';

const SEED = `
TRUNCATE teacher, tag, course, chapter, person, topic, topic_closure, course_tags_tag, seat RESTART IDENTITY CASCADE;
INSERT INTO teacher (name) VALUES ('ada'), ('bob');
INSERT INTO tag (label) VALUES ('new'), ('hard');
INSERT INTO course (code, title, category, "teacherId") VALUES
  ('m1', 'Sets', 'maths', 1), ('m2', 'Rings', 'maths', 2), ('p1', 'Light', 'physics', 1), ('a1', 'Oil', 'art', 2);
INSERT INTO chapter (heading, "courseId") VALUES ('One', 1), ('Two', 2);
INSERT INTO course_tags_tag VALUES (1, 1);
INSERT INTO person (name, kind) VALUES ('eve', 'Person'), ('tom', 'Tutor'), ('sue', 'Tutor');
INSERT INTO topic (name, "parentId") VALUES ('science', NULL), ('maths', 1), ('art', NULL);
INSERT INTO topic_closure VALUES (1, 1), (2, 2), (1, 2), (3, 3);
INSERT INTO seat VALUES ('a', 1, 'ada'), ('b', 1, 'bob');
`;

/** An application with TypeORM on a real database, and a connection past both. */
export class TypeOrmSubject {
  private constructor(
    private readonly postgres: PostgresServer,
    readonly database: pg.Pool,
  ) {}

  static async start(): Promise<TypeOrmSubject> {
    const postgres = await PostgresServer.start();
    const subject = new TypeOrmSubject(postgres, new pg.Pool({ connectionString: postgres.url }));
    const source = new DataSource({ type: 'postgres', url: postgres.url, entities: ENTITIES, synchronize: true });
    await source.initialize();
    await source.destroy();
    return subject;
  }

  get url(): string {
    return this.postgres.url;
  }

  /** One process as far as the cache can tell. */
  async application(
    options: TypeOrmInvalidationOptions = {},
    cache: TieredCacheOptions = {},
  ): Promise<{ source: DataSource; cache: CacheService }> {
    const app = await boot([
      TieredCacheModule.forRoot({ entities: [CourseLists], ...cache }),
      TypeOrmModule.forRoot({ type: 'postgres', url: this.url, entities: ENTITIES, retryAttempts: 0 }),
      TypeOrmInvalidationModule.forRoot(options),
    ]);
    return { source: app.get(DataSource), cache: app.get(CacheService) };
  }

  /** The rows that every operation finds. */
  async seed(): Promise<void> {
    await this.database.query(SEED);
  }

  async stop(): Promise<void> {
    await this.database.end();
    await this.postgres.stop();
  }
}

/** Entries as an application would keep them, each with what it shows. */
const ENTRIES: ReadonlyArray<readonly [name: string, tags: string[]]> = [
  ...['Course', 'Teacher', 'Tag', 'Chapter', 'Person', 'Tutor', 'Topic'].flatMap((entity) =>
    [1, 2, 3].map((id) => [`${entity} ${id}`, entityTags(entity, id)] as const),
  ),
  ['Seat a1', entityTags('Seat', { hall: 'a', row: 1 })],
  ['Seat b1', entityTags('Seat', { hall: 'b', row: 1 })],
  ['Courses of maths', CourseLists.listTags({ ids: [1, 2], where: { category: 'maths' } })],
  ['Courses of maths, page 2', CourseLists.listTags({ ids: [], where: { category: 'maths' } })],
  ['Courses of physics', CourseLists.listTags({ ids: [3], where: { category: 'physics' } })],
  ['Courses of art', CourseLists.listTags({ ids: [4], where: { category: 'art' } })],
];

/** What is no longer served after some work, of entries that were all there before. */
export async function goneAfter(cache: CacheService, work: () => Promise<unknown>): Promise<string[]> {
  await cacheAll(cache);
  await work();
  return gone(cache);
}

export async function cacheAll(cache: CacheService): Promise<void> {
  for (const [name, tags] of ENTRIES) await cache.set([name] as CacheKey, true, { tags });
}

export async function gone(cache: CacheService): Promise<string[]> {
  const found = await cache.getMany(ENTRIES.map(([name]) => [name]));
  return ENTRIES.flatMap(([name], i) => (found[i]?.isFound ? [] : [name]));
}
