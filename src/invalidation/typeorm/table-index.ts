import type { DataSource, EntityMetadata } from 'typeorm';

/** What can change rows, or make them others; one word is enough for suspicion. */
const WRITES = /\b(?:insert|update|delete|truncate|merge|replace|copy|alter|drop)\b/i;
/** A single query that can only write through a function that it calls. */
const READS = /^\s*select\b[^;]*;?\s*$/i;

/** Which tables a statement may write to, by the names in its text: too many rather than too few. */
export class TableIndex {
  private readonly tables = new Map<string, EntityMetadata[]>();
  private readonly names: RegExp | undefined;

  constructor(dataSource: Pick<DataSource, 'entityMetadatas'>) {
    for (const metadata of dataSource.entityMetadatas) {
      const name = metadata.tableName.toLowerCase();
      this.tables.set(name, [...(this.tables.get(name) ?? []), metadata]);
    }
    const names = [...this.tables.keys()].map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    if (names.length > 0) this.names = new RegExp(`(?<![\\w$])(?:${names.join('|')})(?![\\w$])`, 'gi');
  }

  /** Tables of entities, in lower case. */
  writtenBy(statement: string): string[] {
    if (this.names === undefined || READS.test(statement) || !WRITES.test(statement)) return [];
    return [...new Set(statement.match(this.names)?.map((name) => name.toLowerCase()))];
  }

  /** The entities whose rows are in that table: several with single-table inheritance. */
  entitiesIn(table: string): readonly EntityMetadata[] {
    return this.tables.get(table) ?? [];
  }
}
