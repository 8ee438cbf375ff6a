import type { CacheKey } from '../../core/cache.options.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { encodeKey } from '../../core/keys/key-encoding.js';
import { shorten } from '../../core/keys/store-key.js';
import { tokenOf, type FenceSource } from './fence-source.js';
import { FENCE_TABLE, type FenceTableOptions } from './fence-tables.js';
import { askSql, type SqlQuery } from '../../sql/sql-result.js';
import { renderSql, sql, sqlName, type SqlOptions, type SqlStatement } from '../../sql/sql-statement.js';
import { StaleLeaseError } from './stale-lease.error.js';

/** How to claim; see {@link claimFence}. */
export interface ClaimOptions extends SqlOptions, FenceTableOptions {
  /** What is guarded. Default: every key of the lease, each with its own token. Required with a bare token. */
  resource?: CacheKey;
}

/**
 * Shuts out every earlier holder of the lock, by a row of `tc_fence` (see {@link fenceTable}): from now on their claims are refused, and
 * until this transaction ends they wait for it. For writes that have no row of their own to carry the fence, such as inserts.
 *
 * Make it the first statement of the transaction that reads and writes. What was read before the claim may be changed by an earlier holder
 * up to the claim: if you read outside the transaction, claim once before reading, and again (the same token passes) first in it.
 * @param query sends one statement on the transaction's connection
 * @throws StaleLeaseError if a later holder was here: roll back
 * @throws CacheUsageError `invalid_option`, `invalid_query_result`
 * @example
 * await dataSource.transaction(async (manager) => {
 *   await claimFence((text, values) => manager.query(text, values), lease);
 *   await manager.insert(Redemption, { policyId, amount });
 * });
 */
export async function claimFence(query: SqlQuery, lease: FenceSource, options: ClaimOptions = {}): Promise<void> {
  for (const { resource, token } of claimsOf(lease, options)) {
    const [claim, look] = claimStatements(resource, token, options);
    if (look === undefined) {
      const { rows } = await askSql(query, claim, 'rows');
      if (rows.length === 0) throw new StaleLeaseError(resource, token);
      continue;
    }
    await query(claim.text, claim.values);
    const { rows } = await askSql<{ token: bigint | number | string }>(query, look, 'rows');
    const [kept] = rows;
    if (kept === undefined || BigInt(kept.token) > token) throw new StaleLeaseError(resource, token);
  }
}

/** In the order of the lease, which is everybody's: two transactions cannot wait for each other. */
function claimsOf(lease: FenceSource, options: ClaimOptions): Array<{ resource: string; token: bigint }> {
  const token = tokenOf(lease);
  if (options.resource !== undefined) return [{ resource: shorten(encodeKey(options.resource)), token }];
  if (typeof lease === 'bigint')
    throw new CacheUsageError('invalid_option', 'resource must be named when there is no lease to take it from');
  return lease.keys.map((key) => ({ resource: shorten(key), token: lease.fencingTokenOf(key) ?? token }));
}

/**
 * The claim as text and values, for who sends it by other means: no row in answer means that the lease is stale. MySQL can say so only by
 * a second statement: a `token` above the own one.
 */
export function claimStatements(
  resource: string,
  token: bigint,
  options: SqlOptions & FenceTableOptions = {},
): [claim: SqlStatement, look?: SqlStatement] {
  const table = sqlName(options.table ?? FENCE_TABLE, 'table', options);
  const insert = sql` (resource, token) VALUES (${resource}, ${token}) ON `;
  if (options.dialect !== 'mysql')
    return [
      renderSql(
        sql`INSERT INTO ${table} AS held${insert}CONFLICT (resource) DO UPDATE SET token = excluded.token WHERE held.token <= excluded.token RETURNING token`,
        options,
      ),
    ];
  return [
    renderSql(sql`INSERT INTO ${table}${insert}DUPLICATE KEY UPDATE token = GREATEST(token, ${token})`, options),
    renderSql(sql`SELECT token FROM ${table} WHERE resource = ${resource} FOR UPDATE`, options),
  ];
}
