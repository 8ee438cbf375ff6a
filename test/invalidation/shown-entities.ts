import { defineEntity } from '../../src/invalidation/define-entity.js';
import { EntityInvalidationService } from '../../src/invalidation/entity-invalidation.service.js';
import { CacheService } from '../../src/core/cache.service.js';
import { TieredCacheModule } from '../../src/tiered-cache.module.js';
import { boot } from '../nest/boot.js';

/** Rows that every test begins with. */
export const COURSES = [
  { id: 1, title: 'Algebra', category: 'maths' },
  { id: 2, title: 'Calculus', category: 'maths' },
  { id: 3, title: 'Drawing', category: 'art' },
] as const;
export const LESSONS = [
  { id: 1, name: 'Groups', courseId: 1 },
  { id: 2, name: 'Shades', courseId: 3 },
] as const;

const Course = defineEntity('Course', { filters: [['category']], order: ['title'] });
const Lesson = defineEntity('Lesson', { filters: [[]] });

const ENTRIES: ReadonlyArray<{ key: string; tags: string[] }> = [
  ...COURSES.map(({ id }) => ({ key: `course ${id}`, tags: Course.tags(id) })),
  { key: 'maths, page 1', tags: Course.listTags({ ids: [1], where: { category: 'maths' } }) },
  { key: 'maths, page 2', tags: Course.listTags({ ids: [2], where: { category: 'maths' } }) },
  { key: 'art', tags: Course.listTags({ ids: [3], where: { category: 'art' } }) },
  { key: 'law', tags: Course.listTags({ ids: [], where: { category: 'law' } }) },
  ...LESSONS.map(({ id }) => ({ key: `lesson ${id}`, tags: Lesson.tags(id) })),
  { key: 'lessons', tags: Lesson.listTags({ ids: [1, 2] }) },
];

/** A cache that shows every row and some lists, to see what a change takes of it. */
export class ShownEntities {
  private constructor(
    private readonly cache: CacheService,
    readonly invalidation: EntityInvalidationService,
  ) {}

  static async start(): Promise<ShownEntities> {
    const app = await boot([TieredCacheModule.forRoot({ entities: [Course, Lesson] })]);
    return new ShownEntities(app.get(CacheService), app.get(EntityInvalidationService));
  }

  /** Shows everything again. */
  async show(): Promise<void> {
    await Promise.all(ENTRIES.map(({ key, tags }) => this.cache.set(key, key, { ttl: '1h', tags })));
  }

  /** The entries that are gone. */
  async gone(): Promise<string[]> {
    const hits = await Promise.all(ENTRIES.map(async ({ key }) => ({ key, hit: await this.cache.get(key) })));
    return hits.filter(({ hit }) => !hit.isFound).map(({ key }) => key);
  }

  /** What a change of course 1, of its lesson, or a new course of maths has taken; in the words of the README. */
  static outcome(gone: readonly string[], entity: 'Course' | 'Lesson'): string {
    // Nobody has touched these, nor the law.
    if (gone.includes(entity === 'Course' ? 'course 3' : 'lesson 2')) return 'everything';
    if (gone.includes(entity === 'Course' ? 'law' : 'lessons')) return 'its row, every list';
    if (entity === 'Course' && gone.includes('maths, page 2')) return 'its row, its lists';
    return gone.includes(`${entity.toLowerCase()} 1`) ? 'its row' : 'nothing';
  }
}
