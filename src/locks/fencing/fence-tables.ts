import { renderSql, sql, sqlName, type SqlOptions } from '../../sql/sql-statement.js';

export const FENCE_TABLE = 'tc_fence';
export const FENCE_COLUMN = 'fence';

/** Where fences are kept. */
export interface FenceTableOptions extends Pick<SqlOptions, 'dialect'> {
  /** Default `tc_fence`. */
  table?: string;
}

/**
 * DDL, for a migration, of the table that `claimFence` writes to: one row for each resource that was ever claimed. Tokens are microseconds
 * since 1970, so that old rows can be told: delete those of before yesterday, whose holders are long gone, as often as you like.
 * @example await queryRunner.query(fenceTable({ dialect: 'postgres' }));
 */
export function fenceTable(options: FenceTableOptions = {}): string {
  const table = sqlName(options.table ?? FENCE_TABLE, 'table', options);
  // MySQL's usual collations take 'a' and 'A' for one resource.
  const text = options.dialect === 'mysql' ? 'varchar(255) CHARACTER SET ascii COLLATE ascii_bin' : 'text';
  return renderSql(
    sql([`CREATE TABLE IF NOT EXISTS `, ` (resource ${text} NOT NULL PRIMARY KEY, token bigint NOT NULL)`], table),
    options,
  ).text;
}

/** DDL of the column that `fencedUpdate` needs: not null, because NULL would refuse every holder. Default column `fence`. */
export function fenceColumn(table: string, options: Pick<SqlOptions, 'dialect'> & { column?: string } = {}): string {
  const names = [sqlName(table, 'table', options), sqlName(options.column ?? FENCE_COLUMN, 'column', options)];
  return renderSql(sql(['ALTER TABLE ', ' ADD COLUMN ', ' bigint NOT NULL DEFAULT 0'], ...names), options).text;
}
