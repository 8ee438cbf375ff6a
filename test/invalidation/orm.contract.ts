import { Logger } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EntityInvalidationService } from '../../src/invalidation/entity-invalidation.service.js';
import { closeAll } from '../nest/boot.js';
import { CourseDatabase } from './course-database.js';
import { expectReadmeTable, type Coverage } from './readme-table.js';
import { ShownEntities } from './shown-entities.js';

/** What shows course 1, or is sorted by its title. */
const RENAMED = ['course 1', 'maths, page 1', 'maths, page 2'];

/** An ORM with its adapter, on the tables of {@link CourseDatabase}. */
export interface OrmSubject<Tx> {
  /** Course 1, in one statement. */
  rename(title: string, tx?: Tx): Promise<unknown>;
  transaction(work: (tx: Tx) => Promise<void>): Promise<unknown>;
  nested(tx: Tx, work: (tx: Tx) => Promise<void>): Promise<unknown>;
  /** What the adapter has made of changes of course 1: tables, if the ORM tells no rows. */
  readonly tellsRows: boolean;
  close(): Promise<unknown>;
}

/** Calls of an ORM on course 1, or on a new course of maths, in one row of the README, and what they take of the cache. */
export interface CoveredCall<S> extends Coverage {
  /** Of what. Default: of courses. */
  readonly entity?: 'Course' | 'Lesson';
  /** What somebody else has done before. */
  readonly given?: string;
  /** Entries that must be gone, too. */
  readonly takes?: readonly string[];
  /** One for each way to call it that is named in `by`. */
  readonly runs: ReadonlyArray<(subject: S) => Promise<unknown>>;
}

export interface OrmTests<Tx, S extends OrmSubject<Tx>> {
  readonly name: string;
  start(url: string, invalidation: EntityInvalidationService): Promise<S>;
  readonly calls: ReadonlyArray<CoveredCall<S>>;
  /** What is to be tested of this ORM only. */
  more?(parts: () => { readonly database: CourseDatabase; readonly shown: ShownEntities; readonly subject: S }): void;
}

/** What every adapter promises, and the table of the README that says what it covers. */
export function describeOrm<Tx, S extends OrmSubject<Tx>>({ name, start, calls, more }: OrmTests<Tx, S>): void {
  describe(`changes through ${name}`, () => {
    let database: CourseDatabase;
    let shown: ShownEntities;
    let subject: S;

    beforeAll(async () => {
      [database, shown] = await Promise.all([CourseDatabase.start(), ShownEntities.start()]);
      subject = await start(database.url, shown.invalidation);
    });
    beforeEach(async () => {
      await database.reset();
      await shown.show();
    });
    afterAll(async () => {
      await subject?.close();
      await database?.stop();
      await closeAll();
    });

    /** What the change of course 1 must have taken, and whether no more than that. */
    const expectGone = async (): Promise<void> => {
      const gone = await shown.gone();
      expect(gone).toEqual(expect.arrayContaining(RENAMED));
      if (subject.tellsRows) expect(gone).not.toContain('course 3');
    };

    it('are invalidated when the call returns', async () => {
      await subject.rename('Algebra II');
      await expectGone();
    });

    it('are invalidated after the commit, and not before', async () => {
      await subject.transaction(async (tx) => {
        await subject.rename('Algebra II', tx);
        expect(await shown.gone()).toEqual([]);
      });
      await expectGone();
    });

    it('are not invalidated when they are rolled back', async () => {
      const before = await database.rows();
      await expect(
        subject.transaction(async (tx) => {
          await subject.rename('Algebra II', tx);
          throw new Error('no');
        }),
      ).rejects.toThrow('no');
      expect(await database.rows()).toEqual(before);
      expect(await shown.gone()).toEqual([]);
    });

    it('of a nested transaction wait for the outermost commit', async () => {
      await subject.transaction(async (tx) => {
        await subject.nested(tx, async (inner) => void (await subject.rename('Algebra II', inner)));
        expect(await shown.gone()).toEqual([]);
      });
      await expectGone();
    });

    it('of a nested transaction are dropped with the outer one', async () => {
      const outer = subject.transaction(async (tx) => {
        await subject.nested(tx, async (inner) => void (await subject.rename('Algebra II', inner)));
        throw new Error('no');
      });
      await expect(outer).rejects.toThrow('no');
      expect(await shown.gone()).toEqual([]);
    });

    it('before a savepoint outlive the rollback to it', async () => {
      await subject.transaction(async (tx) => {
        await subject.rename('Algebra II', tx);
        const inner = subject.nested(tx, async (nested) => {
          await subject.rename('Algebra III', nested);
          throw new Error('no');
        });
        await expect(inner).rejects.toThrow('no');
        expect(await shown.gone()).toEqual([]);
      });
      expect(await database.rows()).toEqual(expect.arrayContaining([expect.objectContaining({ title: 'Algebra II' })]));
      await expectGone();
    });

    it('are told apart: what is not in the open transaction does not wait for it, nor fall with it', async () => {
      const failing = subject.transaction(async () => {
        await subject.rename('Algebra II');
        await expectGone();
        await shown.show();
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await shown.gone()).toEqual([]);
    });

    it('of transactions at the same time do not meet', async () => {
      let rename!: () => void;
      const renamed = new Promise<void>((resolve) => (rename = resolve));
      let end!: () => void;
      const ended = new Promise<void>((resolve) => (end = resolve));
      const failing = subject.transaction(async (tx) => {
        await subject.rename('Algebra II', tx);
        rename();
        await ended;
        throw new Error('no');
      });
      await renamed;
      await subject.transaction(async () => undefined);
      expect(await shown.gone()).toEqual([]);
      end();
      await expect(failing).rejects.toThrow('no');
      await subject.transaction(async () => undefined);
      expect(await shown.gone()).toEqual([]);
    });

    it('stay saved, and the call succeeds, when they cannot be invalidated', async () => {
      const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
      const apply = vi.spyOn(shown.invalidation, 'apply').mockRejectedValue(new Error('the store is down'));
      await subject.rename('Algebra II');
      await subject.transaction(async (tx) => void (await subject.rename('Algebra III', tx)));
      apply.mockRestore();
      expect(warn.mock.calls.flat().join()).toContain('Course could not be invalidated: the store is down');
      warn.mockRestore();
      expect(await database.rows()).toEqual(
        expect.arrayContaining([expect.objectContaining({ title: 'Algebra III' })]),
      );
    });

    more?.(() => ({ database, shown, subject }));

    describe('of every kind', () => {
      const seen: Coverage[] = [];

      describe.each(calls)('$by', ({ by, gone: wanted, entity = 'Course', given = 'SELECT 1', takes = [], runs }) => {
        it.each(runs.map((run, i) => ({ way: i + 1, run })))(`way $way takes ${wanted}`, async ({ run }) => {
          await database.query(given);
          const before = await database.rows();
          await run(subject);
          const gone = await shown.gone();
          const outcome = ShownEntities.outcome(gone, entity);
          seen.push({ by, gone: outcome });
          expect(outcome).toBe(wanted);
          expect(gone).toEqual(expect.arrayContaining([...takes]));
          expect(await database.rows()).not.toEqual(before);
        });
      });

      it('is as the table in the README says', async () => {
        const rows = new Map(seen.map((one) => [`${one.by} ${one.gone}`, one]));
        await expectReadmeTable(name.toLowerCase(), [...rows.values()]);
      });
    });
  });
}
