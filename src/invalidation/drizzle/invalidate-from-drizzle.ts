import { CacheUsageError } from '../../core/errors/cache.error.js';
import type { EntityInvalidationService } from '../entity-invalidation.service.js';
import { StatementTables } from '../statement-tables.js';
import type { DrizzleLike, DrizzleSession } from './drizzle.types.js';
import { SessionChanges } from './session-changes.js';

const TABLE_NAME = Symbol.for('drizzle:Name');

/** What `invalidateFromDrizzle()` takes: Drizzle itself knows neither entities nor what the database does along. */
export interface DrizzleInvalidationOptions {
  /** The tables of the schema, each under the name of its entity. */
  tables: Readonly<Record<string, object>>;
  /** By entity, all whose rows the database deletes or empties when rows of it are deleted: `onDelete: 'cascade'`, `'set null'`. */
  cascades?: Readonly<Record<string, readonly string[]>>;
}

/**
 * From now on whatever is changed through this database is invalidated: at once, or after the outermost commit of its transaction. Drizzle
 * tells statements, not rows: a change of any row takes everything of its entity. Call it once for each database.
 * @throws CacheUsageError `unsupported_orm` for SQLite, `invalid_option` for what is no table
 * @example invalidateFromDrizzle(db, entities, { tables: { Course: courses, Lesson: lessons }, cascades: { Course: ['Lesson'] } });
 */
export function invalidateFromDrizzle(
  db: DrizzleLike,
  entities: EntityInvalidationService,
  { tables, cascades = {} }: DrizzleInvalidationOptions,
): void {
  // Its statements are run by other methods, and some of its drivers wait for nothing.
  if ('resultKind' in db || typeof (db._?.session as DrizzleSession | undefined)?.prepareQuery !== 'function')
    throw new CacheUsageError('unsupported_orm', 'db must be a database of Drizzle for PostgreSQL or MySQL');
  const names = Object.entries(tables).map(([entity, table]): [string, string] => [nameOf(entity, table), entity]);
  const statements = new StatementTables(names, (entity) => cascades[entity] ?? []);
  new SessionChanges(statements, entities).hear(db._.session as DrizzleSession);
}

function nameOf(entity: string, table: object): string {
  const name = (table as { [TABLE_NAME]?: unknown } | undefined)?.[TABLE_NAME];
  if (typeof name === 'string') return name;
  throw new CacheUsageError('invalid_option', `tables.${entity} must be a table of Drizzle; got a ${typeof table}`);
}
