import type { DataSource, EntityMetadata } from 'typeorm';
import { StatementTables } from '../statement-tables.js';

/** Which tables of entities a statement may write to, by the names in its text. */
export class TableIndex {
  private readonly tables = new Map<string, EntityMetadata[]>();
  private readonly statements: StatementTables;

  constructor(dataSource: Pick<DataSource, 'entityMetadatas'>) {
    for (const metadata of dataSource.entityMetadatas) {
      const { tableName } = metadata;
      this.tables.set(tableName, [...(this.tables.get(tableName) ?? []), metadata]);
    }
    this.statements = new StatementTables([...this.tables.keys()].map((table) => [table, table]));
  }

  writtenBy(statement: string): string[] {
    return this.statements.changesOf(statement).map((change) => change.entity);
  }

  /** The entities whose rows are in that table: several with single-table inheritance. */
  entitiesIn(table: string): readonly EntityMetadata[] {
    return this.tables.get(table) ?? [];
  }
}
