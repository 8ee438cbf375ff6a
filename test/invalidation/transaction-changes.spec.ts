import { describe, expect, it, vi } from 'vitest';
import { Logger } from '@nestjs/common';
import type { EntityChange } from '../../src/invalidation/entity-change.js';
import { EntityInvalidationService } from '../../src/invalidation/entity-invalidation.service.js';
import { EntityRules } from '../../src/invalidation/entity-rules.js';
import { TransactionChanges } from '../../src/invalidation/transaction-changes.js';
import type { CacheService } from '../../src/core/cache.service.js';

const course: EntityChange = { entity: 'Course', kind: 'insert', id: 1 };
const teacher: EntityChange = { entity: 'Teacher', kind: 'delete', id: 2 };

/** The changes of a transaction, and the tags that were invalidated. */
function subject(answer: () => Promise<void> = () => Promise.resolve()) {
  const tags: string[][] = [];
  const cache = { invalidateTags: (some: string[]) => (tags.push(some), answer()) } as unknown as CacheService;
  return { tags, changes: new TransactionChanges(new EntityInvalidationService(cache, new EntityRules())) };
}

describe('the changes of a transaction', () => {
  it('are invalidated together after the commit, once', async () => {
    const { tags, changes } = subject();
    changes.add(course, teacher);
    expect(tags).toEqual([]);
    await changes.commit();
    await changes.commit();
    expect(tags).toEqual([['Course', 'Course:1', 'Course/lists', 'Teacher', 'Teacher:2', 'Teacher/lists']]);
  });

  it('are dropped by a rollback', async () => {
    const { tags, changes } = subject();
    changes.add(course);
    changes.rollback();
    await changes.commit();
    expect(tags).toEqual([]);
  });

  it('outlive savepoints, however these end', async () => {
    const { tags, changes } = subject();
    changes.nest();
    changes.add(course);
    changes.rollback();
    changes.nest();
    changes.add(teacher);
    await changes.commit();
    expect(tags).toEqual([]);
    await changes.commit();
    expect(tags.flat()).toEqual(expect.arrayContaining(['Course:1', 'Teacher:2']));
  });

  it('are a change of the table when they are many', () => {
    const { changes } = subject();
    for (let id = 0; id < 501; id++) changes.add({ entity: 'Course', kind: 'insert', id });
    changes.add(course, teacher);
    expect(changes.all).toEqual([{ entity: 'Course', kind: 'table' }, teacher]);
  });

  it('do not fail the commit when they cannot be invalidated: a warning tells what and how many', async () => {
    const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const { changes } = subject(() => Promise.reject(new Error('the store is down')));
    changes.add(course, teacher);
    await expect(changes.commit()).resolves.toBe(false);
    expect(warn.mock.calls).toEqual([
      [expect.stringMatching(/^2 committed changes of Course, Teacher could not be invalidated: the store is down/)],
    ]);
    warn.mockRestore();
  });
});
