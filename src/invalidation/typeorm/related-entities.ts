import type { EntityMetadata } from 'typeorm';

const CASCADES = new Set(['CASCADE', 'SET NULL', 'SET DEFAULT']);

/** What else a change of a row concerns: single-table inheritance, join tables, and what the database does by foreign keys. */
export class RelatedEntities {
  constructor(private readonly all: readonly EntityMetadata[]) {}

  /** The names under which entries may show a row: of its entity and, with single-table inheritance, of what that descends to and from. */
  namesOf(metadata: EntityMetadata): string[] {
    const isKin = (other: EntityMetadata): boolean =>
      other.tablePath === metadata.tablePath && (isA(other, metadata) || isA(metadata, other));
    return [...new Set([metadata.name, ...this.all.filter(isKin).map(({ name }) => name)])];
  }

  /**
   * The entities whose rows the database deletes or empties when rows of this one are deleted. Not those that a join table links: their
   * rows stay as they are, and what shows the deleted row is tagged with it.
   */
  cascadesOf(metadata: EntityMetadata): string[] {
    const names = new Set<string>();
    const seen = new Set<string>();
    const pending = [metadata.tablePath];
    for (let table = pending.pop(); table !== undefined; table = pending.pop()) {
      seen.add(table);
      for (const dependent of this.all.filter((other) => !isLink(other))) {
        const actions = deleteActions(dependent, table);
        if (actions.length === 0) continue;
        for (const name of this.namesOf(dependent)) names.add(name);
        if (actions.includes('CASCADE') && !seen.has(dependent.tablePath)) pending.push(dependent.tablePath);
      }
    }
    return [...names];
  }
}

/** Its rows link rows of entities, and are shown with these: a join table, or the paths of a closure tree. */
export function isLink({ isJunction, isClosureJunction }: EntityMetadata): boolean {
  return isJunction || isClosureJunction;
}

function isA(metadata: EntityMetadata, ancestor: EntityMetadata): boolean {
  return typeof ancestor.target === 'function' && metadata.inheritanceTree.includes(ancestor.target);
}

/** What becomes of rows of `dependent` when a row of that table goes. */
function deleteActions({ foreignKeys }: EntityMetadata, table: string): string[] {
  return foreignKeys
    .filter(({ referencedEntityMetadata }) => referencedEntityMetadata.tablePath === table)
    .map(({ onDelete }) => onDelete ?? '')
    .filter((action) => CASCADES.has(action));
}
