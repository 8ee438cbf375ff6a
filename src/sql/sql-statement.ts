import { CacheUsageError } from '../core/errors/cache.error.js';

/** What the database speaks. MariaDB: `mysql`. SQLite 3.35 or newer. */
export type SqlDialect = 'postgres' | 'mysql' | 'sqlite';

/** How a statement is to be written. */
export interface SqlOptions {
  /** Default `postgres`. */
  dialect?: SqlDialect;
  /** `numbered`: `$1`; `question`: `?`, which Knex wants for every database. Default: `numbered` for Postgres, `question` for the others. */
  placeholders?: 'numbered' | 'question';
}

/** Text with placeholders and their values, in order. */
export interface SqlStatement {
  readonly text: string;
  readonly values: unknown[];
}

/** A piece of SQL and its values; made by {@link sql}. */
export class SqlFragment {
  constructor(
    readonly strings: readonly string[],
    readonly values: readonly unknown[],
  ) {}
}

/**
 * A piece of SQL, whose values are sent apart from it, and whose inner pieces become part of it.
 * @example sql`spent + ${amount}`
 */
export function sql(strings: readonly string[], ...values: unknown[]): SqlFragment {
  return new SqlFragment(strings, values);
}

/** SQL from a name or a keyword of ours. Never from what somebody else has sent. */
export function rawSql(text: string): SqlFragment {
  return new SqlFragment([text], []);
}

export function joinSql(fragments: readonly SqlFragment[], separator: string): SqlFragment {
  const strings = ['', ...Array.from({ length: Math.max(0, fragments.length - 1) }, () => separator), ''];
  return fragments.length === 0 ? rawSql('') : new SqlFragment(strings, fragments);
}

export function renderSql(fragment: SqlFragment, options: SqlOptions): SqlStatement {
  const { dialect = 'postgres' } = options;
  const isNumbered = (options.placeholders ?? (dialect === 'postgres' ? 'numbered' : 'question')) === 'numbered';
  const values: unknown[] = [];
  const write = ({ strings, values: inner }: SqlFragment): string =>
    strings.reduce((text, string, i) => {
      const value = inner[i - 1];
      if (value instanceof SqlFragment) return text + write(value) + string;
      if (value === undefined)
        throw new CacheUsageError(
          'invalid_option',
          `a value of the statement is undefined; give null if it is to be NULL`,
        );
      values.push(value);
      return `${text}${isNumbered ? `$${values.length}` : '?'}${string}`;
    });
  return { text: write(fragment), values };
}

const NAME = /^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?$/;

/** A table or column, quoted: `app.policy` is the table policy of the schema app. @throws CacheUsageError `invalid_option` */
export function sqlName(name: string, field: string, { dialect }: SqlOptions): SqlFragment {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new CacheUsageError(
      'invalid_option',
      `${field} must be a name of letters, digits and "_", with at most one "." in it; got a ${typeof name} that is not`,
    );
  const quote = dialect === 'mysql' ? '`' : '"';
  return rawSql(
    name
      .split('.')
      .map((part) => quote + part + quote)
      .join('.'),
  );
}
