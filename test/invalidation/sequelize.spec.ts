import { AsyncLocalStorage } from 'node:async_hooks';
import { Global, Module } from '@nestjs/common';
import {
  DataTypes,
  literal,
  Model,
  Sequelize,
  type BelongsToManyAddAssociationMixin,
  type BelongsToManyRemoveAssociationMixin,
  type BelongsToManySetAssociationsMixin,
  type CreationOptional,
  type InferAttributes,
  type InferCreationAttributes,
  type Transaction,
} from 'sequelize';
import { expect, it, vi } from 'vitest';
import type { EntityRow } from '../../src/invalidation/entity-change.js';
import { EntityInvalidationService } from '../../src/invalidation/entity-invalidation.service.js';
import { invalidateFromSequelize, SequelizeInvalidationModule } from '../../src/invalidation/sequelize/index.js';
import { TieredCacheModule } from '../../src/tiered-cache.module.js';
import { boot } from '../nest/boot.js';
import { describeOrm, type CoveredCall, type OrmSubject } from './orm.contract.js';

class Course extends Model<InferAttributes<Course>, InferCreationAttributes<Course>> {
  declare id: CreationOptional<number>;
  declare title: string;
  declare category: string;
  declare views: CreationOptional<number>;
  declare updatedAt: CreationOptional<Date>;
  declare deletedAt: CreationOptional<Date | null>;
  declare addExtra: BelongsToManyAddAssociationMixin<Lesson, number>;
  declare removeExtra: BelongsToManyRemoveAssociationMixin<Lesson, number>;
  declare setExtras: BelongsToManySetAssociationsMixin<Lesson, number>;
}

class Lesson extends Model<InferAttributes<Lesson>, InferCreationAttributes<Lesson>> {
  declare id: CreationOptional<number>;
  declare name: string;
  declare courseId: number | null;
}

const TOPOLOGY = { title: 'Topology', category: 'maths' };
const first = async (options: object = {}): Promise<Course> => {
  const course = await Course.findByPk(1, options);
  if (course === null) throw new Error('course 1 is not there');
  return course;
};

class SequelizeSubject implements OrmSubject<Transaction> {
  readonly tellsRows = true;

  constructor(readonly sequelize: Sequelize) {}

  static async start(url: string, invalidation: EntityInvalidationService): Promise<SequelizeSubject> {
    const sequelize = new Sequelize(url, { logging: false });
    invalidateFromSequelize(sequelize, invalidation);
    const id = { type: DataTypes.INTEGER, autoIncrement: true, primaryKey: true };
    Course.init(
      {
        id,
        title: { type: DataTypes.TEXT, unique: true },
        category: DataTypes.TEXT,
        views: DataTypes.INTEGER,
        updatedAt: { type: DataTypes.DATE, field: 'updated_at' },
        deletedAt: { type: DataTypes.DATE, field: 'deleted_at' },
      },
      { sequelize, tableName: 'courses', createdAt: false, paranoid: true },
    );
    Lesson.init(
      { id, name: DataTypes.TEXT, courseId: { type: DataTypes.INTEGER, field: 'course_id' } },
      { sequelize, tableName: 'lessons', timestamps: false },
    );
    Course.hasMany(Lesson, { foreignKey: 'courseId', onDelete: 'CASCADE' });
    await sequelize.authenticate();
    const keys = { foreignKey: 'course_id', otherKey: 'lesson_id' };
    Course.belongsToMany(Lesson, { through: 'course_extras', as: 'extras', ...keys, timestamps: false });
    return new SequelizeSubject(sequelize);
  }

  async rename(title: string, transaction?: Transaction): Promise<void> {
    // `null`: not even the transaction of the context.
    const course = await first({ transaction: transaction ?? null });
    await course.update({ title }, { transaction: transaction ?? null });
  }

  transaction(work: (tx: Transaction) => Promise<void>): Promise<void> {
    return this.sequelize.transaction(work);
  }

  nested(transaction: Transaction, work: (tx: Transaction) => Promise<void>): Promise<void> {
    return this.sequelize.transaction({ transaction }, work);
  }

  close(): Promise<void> {
    return this.sequelize.close();
  }
}

const RENAMED = { title: 'Algebra II' };
const where = { id: 1 };
const DELETED = 'UPDATE courses SET deleted_at = now() WHERE id = 1';

const CALLS: ReadonlyArray<CoveredCall<SequelizeSubject>> = [
  {
    by: '`create()`, `findOrCreate()`, `save()` of a new instance',
    gone: 'its row, its lists',
    runs: [
      () => Course.create(TOPOLOGY),
      () => Course.findOrCreate({ where: { title: 'Topology' }, defaults: TOPOLOGY }),
      () => Course.build(TOPOLOGY).save(),
    ],
  },
  {
    by: '`save()`, `update()` of an instance, also with `hooks: false`',
    gone: 'its row, its lists',
    runs: [
      async () => (await first()).set(RENAMED).save(),
      async () => (await first()).update(RENAMED),
      async () => (await first()).update(RENAMED, { hooks: false }),
    ],
  },
  {
    by: 'the same, when the row moves to other lists',
    gone: 'its row, its lists',
    takes: ['art'],
    runs: [async () => (await first()).update({ category: 'art' })],
  },
  {
    by: 'the same, when no list depends on what is changed',
    gone: 'its row',
    runs: [async () => (await first()).update({ views: 7 })],
  },
  {
    by: '`destroy()` of an instance',
    gone: 'its row, its lists',
    runs: [async () => (await first()).destroy({ force: true })],
  },
  {
    by: 'rows that the database deletes or empties along (`onDelete`)',
    gone: 'everything',
    entity: 'Lesson',
    runs: [
      async () => (await first()).destroy({ force: true }),
      () => Course.destroy({ where, force: true }),
      () => Course.truncate({ cascade: true, force: true }),
    ],
  },
  {
    by: '`destroy()` of an instance of a paranoid model',
    gone: 'its row, its lists',
    runs: [async () => (await first()).destroy()],
  },
  {
    by: '`restore()` of an instance',
    gone: 'its row, its lists',
    given: DELETED,
    runs: [async () => (await first({ paranoid: false })).restore()],
  },
  {
    by: '`increment()`, `decrement()` of an instance; `literal()` as a value',
    gone: 'its row, every list',
    runs: [
      async () => (await first()).increment('views'),
      async () => (await first()).decrement('views'),
      async () => (await first()).update({ category: literal("'art'") }),
    ],
  },
  {
    by: '`upsert()`',
    gone: 'its row, every list',
    runs: [() => Course.upsert({ id: 1, title: 'Algebra II', category: 'maths' }), () => Course.upsert(TOPOLOGY)],
  },
  {
    by: '`bulkCreate()`',
    gone: 'everything',
    runs: [
      () => Course.bulkCreate([TOPOLOGY]),
      () => Course.bulkCreate([{ title: 'Algebra', category: 'art' }], { updateOnDuplicate: ['category'] }),
    ],
  },
  {
    by: '`Model.update()`, also with `individualHooks`',
    gone: 'everything',
    runs: [() => Course.update(RENAMED, { where }), () => Course.update(RENAMED, { where, individualHooks: true })],
  },
  { by: '`Model.restore()`', gone: 'everything', given: DELETED, runs: [() => Course.restore({ where })] },
  {
    by: '`Model.destroy()`, `Model.truncate()`',
    gone: 'everything',
    runs: [() => Course.destroy({ where, force: true }), () => Course.truncate({ cascade: true, force: true })],
  },
  ...(['Course', 'Lesson'] as const).map((entity): CoveredCall<SequelizeSubject> => ({
    by: `\`addTag()\`, \`setTags()\`, \`removeTag()\` of a \`belongsToMany\`: ${entity === 'Course' ? 'this' : 'the other'} end`,
    gone: 'everything',
    entity,
    given: 'INSERT INTO course_extras VALUES (1, 1)',
    runs: [
      async () => (await first()).addExtra(2),
      async () => (await first()).setExtras([2]),
      async () => (await first()).removeExtra(1),
    ],
  })),
  {
    by: 'an instance of the model of its join table: each end',
    gone: 'its row, every list',
    runs: [({ sequelize }) => sequelize.models['course_extras']!.create({ course_id: 1, lesson_id: 2 })],
  },
  {
    by: '`Model.increment()`, `Model.decrement()`',
    gone: 'everything',
    runs: [() => Course.increment('views', { where }), () => Course.decrement('views', { where })],
  },
  {
    by: 'the query interface',
    gone: 'everything',
    runs: [
      ({ sequelize }) => sequelize.getQueryInterface().bulkInsert('courses', [TOPOLOGY]),
      ({ sequelize }) => sequelize.getQueryInterface().bulkUpdate('courses', RENAMED, where),
    ],
  },
  {
    by: '`sequelize.query()` that names the table',
    gone: 'everything',
    runs: [
      ({ sequelize }) => sequelize.query("UPDATE courses SET title = 'Algebra II' WHERE id = 1"),
      ({ sequelize }) =>
        sequelize.query("UPDATE courses SET title = 'Algebra II' WHERE id = 1 RETURNING *", { model: Course }),
    ],
  },
  {
    by: 'what functions, procedures, triggers and views write',
    gone: 'nothing',
    runs: [({ sequelize }) => sequelize.query('SELECT rename_course()')],
  },
];

describeOrm({
  name: 'Sequelize',
  start: (url, invalidation) => SequelizeSubject.start(url, invalidation),
  calls: CALLS,
  more: (parts) => {
    it('in a transaction that is ended by hand wait for its end', async () => {
      const { subject, shown } = parts();
      const dropped = await subject.sequelize.transaction();
      await subject.rename('Algebra II', dropped);
      await dropped.rollback();
      expect(await shown.gone()).toEqual([]);
      const kept = await subject.sequelize.transaction();
      await subject.rename('Algebra II', kept);
      expect(await shown.gone()).toEqual([]);
      await kept.commit();
      expect(await shown.gone()).toContain('course 1');
    });

    it('are invalidated, too, when nobody knows whether the commit happened', async () => {
      const { subject, shown, database } = parts();
      const transaction = await subject.sequelize.transaction();
      await subject.rename('Algebra II', transaction);
      await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'UPDATE%'");
      await expect(transaction.commit()).rejects.toThrow();
      expect(await shown.gone()).toContain('course 1');
    });

    it('in the transaction of the context (CLS) wait for it', async () => {
      const { subject, shown } = parts();
      const context = new AsyncLocalStorage<Map<string, unknown>>();
      Sequelize.useCLS({
        run: (work: (store: unknown) => unknown) => context.run(new Map(), () => work(context.getStore())),
        get: (key: string) => context.getStore()?.get(key),
        set: (key: string, value: unknown) => context.getStore()?.set(key, value),
        bind: () => undefined,
      });
      try {
        await subject.sequelize.transaction(async () => {
          await (await first()).update(RENAMED);
          expect(await shown.gone()).toEqual([]);
        });
      } finally {
        (Sequelize as unknown as { _cls: unknown })._cls = undefined;
      }
      expect(await shown.gone()).toContain('course 1');
    });

    it('are heard by the module while its application lives', async () => {
      const { database } = parts();
      const sequelize = new Sequelize(database.url, { logging: false });
      @Global()
      @Module({ providers: [{ provide: Sequelize, useValue: sequelize }], exports: [Sequelize] })
      class SequelizeModule {}
      const app = await boot([
        TieredCacheModule.forRoot(),
        SequelizeModule,
        SequelizeInvalidationModule.forRoot({ sequelize: Sequelize }),
      ]);
      const apply = vi.spyOn(app.get(EntityInvalidationService), 'apply');
      sequelize.define('Lesson', { name: DataTypes.TEXT }, { tableName: 'lessons', timestamps: false });
      const write = (): Promise<unknown> => sequelize.query("UPDATE lessons SET name = 'Rings'");
      await write();
      expect(apply.mock.calls).toEqual([[[{ entity: 'Lesson', kind: 'table' }]]]);
      await app.close();
      await write();
      expect(apply).toHaveBeenCalledTimes(1);
      await sequelize.close();
    });

    it('tell the old value of a column that Sequelize itself sets', async () => {
      const apply = vi.spyOn(parts().shown.invalidation, 'apply');
      const { updatedAt } = await (await first()).update({ views: 7 });
      const [change] = [...(apply.mock.calls[0]?.[0] ?? [])] as Array<{ before: EntityRow; after: EntityRow }>;
      apply.mockRestore();
      expect(change?.after['updatedAt']).toEqual(updatedAt);
      expect(Number(change?.before['updatedAt'])).toBeLessThan(Number(updatedAt));
    });
  },
});
