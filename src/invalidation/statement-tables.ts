import type { EntityChange } from './entity-change.js';

/**
 * Words of which every statement that writes has one; those that may be a function or a column, too, only where a statement begins.
 * Functions that write cannot be told from those that read.
 */
const WRITES =
  /\b(?:(?:insert|update|delete|merge|upsert|drop|alter|copy|replace\s+into|replace\s+table|refresh\s+materialized)\b|truncate\b(?!\s*\()|do\s+(?:language\b|\$|'))|(?:^|;)\s*(?:replace\b(?!\s*\()|load\s+(?:data|xml)\b|rename\b)/i;

/** A space to the database, but for what MySQL carries out. One that does not end goes to the end, so that no text is read twice. */
const COMMENT = /\/\*M?!\d*|\/\*[\s\S]*?(?:\*\/|$)|(?:--|#)[^\n]*/g;

/** Locks rows; changes nothing. */
const ROW_LOCK = /\bfor\s+(?:no\s+key\s+)?update\b/gi;

const QUOTED = /'[^']*'|"[^"]*"|`[^`]*`/g;

/** With one of these in it, where quotes begin and end is a matter of the dialect. */
const AMBIGUOUS = /\\|--|#|\/\*|\$\w*\$/;

/** Statements in a statement: what is quoted is no value, but carried out, here or later. */
const QUOTES_STATEMENTS = /\b(?:exec(?:ute)?|prepare|sp_executesql|dblink\w*)\b/i;

/**
 * Which entities a statement may have changed, judged by its words: those whose table it names, if it writes at all. It does not parse SQL,
 * so a name within a comment, a text or a subquery counts, too, which only invalidates more. What a statement changes without naming it
 * (by a trigger, a foreign key, a function, a view) is not seen.
 */
export class StatementTables {
  private readonly tables: ReadonlyArray<{ readonly entity: string; readonly name: RegExp }>;

  /**
   * @param tables names of tables without a schema, each with its entity; a table may have several
   * @param dependentsOf the entities whose rows the database deletes or empties together with rows of one; default: not known
   */
  constructor(
    tables: Iterable<readonly [table: string, entity: string]>,
    private readonly dependentsOf: (entity: string) => readonly string[] = () => [],
  ) {
    this.tables = [...tables].map(([table, entity]) => ({
      entity,
      name: new RegExp(`(?<![\\w$])${table.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&')}(?![\\w$])`, 'i'),
    }));
  }

  changesOf(sql: string): EntityChange[] {
    if (!isWrite(sql)) return [];
    // TRUNCATE and DROP take dependent tables along without naming them.
    const isCascade = /\bcascade\b/i.test(sql);
    const changed = this.tables.filter(({ name }) => isCascade || name.test(sql)).map(({ entity }) => entity);
    const gone = /\bdelete\b/i.test(sql) ? changed.flatMap((entity) => this.dependentsOf(entity)) : [];
    return [...new Set([...changed, ...gone])].map((entity) => ({ entity, kind: 'table' }));
  }
}

/** A query that only mentions such a word as a value or a column must not make its own result void. */
function isWrite(sql: string): boolean {
  const statement = sql.replace(ROW_LOCK, '');
  if (!WRITES.test(statement) && !WRITES.test(statement.replace(COMMENT, ' '))) return false;
  if (AMBIGUOUS.test(statement) || QUOTES_STATEMENTS.test(statement)) return true;
  return WRITES.test(statement.replace(QUOTED, "''"));
}
