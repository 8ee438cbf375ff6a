import type { EntityDefinition, EntityRule } from './define-entity.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import { isRowId, type EntityChange, type EntityRow } from './entity-change.js';
import { anyRow, lists, listsWhere, row, table } from './entity-tags.js';

/**
 * Which tags a change invalidates. Without a rule for its entity every list of the entity goes; with one, only the lists that the row was
 * in, or is in now, and those only if a column that a list depends on is another, or is not known to be the same.
 */
export class EntityRules {
  private readonly rules = new Map<string, EntityRule>();

  /** @throws CacheUsageError `duplicate_entity`: the lists of one definition would not be told of by the other */
  constructor(definitions: readonly EntityDefinition[] = []) {
    for (const { name, rule } of definitions) {
      if ((this.rules.get(name) ?? rule) !== rule)
        throw new CacheUsageError(
          'duplicate_entity',
          `entity "${name}" is defined twice; give one defineEntity() all of its filters`,
        );
      this.rules.set(name, rule);
    }
  }

  /** Whether it is declared by what its lists are filtered: only then does it matter how a row was. */
  has(entity: string): boolean {
    return this.rules.has(entity);
  }

  /** The tags to invalidate, each once. */
  tagsOf(changes: Iterable<EntityChange>): string[] {
    const tags = new Set<string>();
    for (const change of changes) for (const tag of this.tagsOfOne(change)) tags.add(tag);
    return [...tags];
  }

  private tagsOfOne(change: EntityChange): string[] {
    const { entity } = change;
    if (change.kind === 'table' || !isRowId(change.id)) return [anyRow(entity), table(entity)];
    return [anyRow(entity), row(entity, change.id), ...this.listsOf(change)];
  }

  private listsOf(change: Exclude<EntityChange, { kind: 'table' }>): string[] {
    const { entity } = change;
    const rule = this.rules.get(entity);
    if (rule === undefined) return [lists(entity)];
    const before = 'before' in change ? change.before : undefined;
    const after = 'after' in change ? change.after : undefined;
    if (change.kind === 'update') {
      if (before === undefined || after === undefined) return [lists(entity)];
      const columns = new Set([...rule.filters.flat(), ...(rule.order ?? [])]);
      if ([...columns].every((column) => isSame(before, after, column))) return [];
    }
    const rows = [before, after].filter((found) => found !== undefined);
    const found = rows.flatMap((one) => rule.filters.map((columns) => filterOf(entity, columns, one)));
    return found.length === 0 || found.includes(undefined) ? [lists(entity)] : (found as string[]);
  }
}

function isSame(before: EntityRow, after: EntityRow, column: string): boolean {
  const [a, b] = [before[column], after[column]];
  // Not known.
  if (a === undefined || b === undefined) return false;
  return Object.is(a, b) || (a instanceof Date && b instanceof Date && a.getTime() === b.getTime());
}

/** The lists that compare `columns` and have this row; `undefined` if not all of them are known. */
function filterOf(entity: string, columns: readonly string[], found: EntityRow): string | undefined {
  if (columns.some((column) => found[column] === undefined)) return undefined;
  return listsWhere(entity, Object.fromEntries(columns.map((column) => [column, found[column]])));
}
