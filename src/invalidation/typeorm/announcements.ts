const INSERTS = /^\s*insert\b/i;
const UPSERTS = /\bon\s+(?:conflict|duplicate\s+key)\b/i;

/** A statement as TypeORM sent it. */
export interface SentStatement {
  readonly text: string;
  readonly parameters: unknown;
}

/** Announced writes to one table, from the first announcement until the last report. */
export class AnnouncedWrites {
  private open = 0;
  private hasTaken = false;
  private isUpsert = false;
  private statements: SentStatement[] = [];

  announce(): void {
    this.open++;
  }

  sent(statement: SentStatement): void {
    this.isUpsert ||= UPSERTS.test(statement.text);
    // What was inserted is reported row by row.
    if (!INSERTS.test(statement.text)) this.statements.push(statement);
  }

  /** Whether it was the last. */
  report(): boolean {
    return --this.open <= 0;
  }

  /** A row reported as inserted may have been there before. */
  get mayHaveUpdated(): boolean {
    return this.isUpsert;
  }

  /**
   * For a report that does not say which rows: what was sent since the last one that did not. Its own statement is among them, or was taken
   * by an earlier one. `undefined` if none was seen at all.
   */
  take(): SentStatement[] | undefined {
    const { statements } = this;
    if (statements.length === 0 && !this.hasTaken) return undefined;
    this.hasTaken = true;
    this.statements = [];
    return statements;
  }
}

/**
 * Tells which statements of one connection TypeORM tells of by itself: it announces them (`beforeUpdate`), sends them, and reports
 * (`afterUpdate`). What is sent without being announced is raw SQL, a `clear()`, or work that was told to call no listeners.
 */
export class Announcements {
  private readonly tables = new Map<string, AnnouncedWrites>();

  announce(table: string): void {
    const writes = this.tables.get(table) ?? new AnnouncedWrites();
    writes.announce();
    this.tables.set(table, writes);
  }

  /** Whether it was announced; it is kept for the report then. */
  sent(table: string, statement: SentStatement): boolean {
    const writes = this.tables.get(table);
    writes?.sent(statement);
    return writes !== undefined;
  }

  /** `undefined` if nothing was announced. */
  report(table: string): AnnouncedWrites | undefined {
    const writes = this.tables.get(table);
    if (writes?.report()) this.tables.delete(table);
    return writes;
  }

  /** Tables of which a report is missing. From now on nothing is announced. */
  settle(): string[] {
    const tables = [...this.tables.keys()];
    this.tables.clear();
    return tables;
  }
}
