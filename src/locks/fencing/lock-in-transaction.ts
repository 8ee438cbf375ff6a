import { createHash, randomUUID } from 'node:crypto';
import { durationMs, type Duration } from '../../core/clock/duration.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { askSql, type SqlQuery } from '../../sql/sql-result.js';
import { renderSql, sql, type SqlFragment, type SqlOptions } from '../../sql/sql-statement.js';
import { addressesOf, type LockAddress, type LockTarget } from '../lock-key.js';
import { ResourceLockedError } from '../lock.errors.js';

/** How to wait for somebody else's transaction; see {@link lockInTransaction}. */
export interface TransactionLockOptions extends Pick<SqlOptions, 'placeholders'> {
  /** How long to wait for the others, for all keys together. Who waited in vain has to roll back. Default 0: not at all. */
  wait?: Duration;
}

/** Nobody knows how long the others' transactions will take. */
const RETRY_AFTER_MS = 1000;
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Locks keys until the caller's own transaction ends, in PostgreSQL. It needs no lock store, and no fence: the lock and the writes it
 * protects end in one step, with the commit, the rollback or the connection, so that nobody can be overtaken. It is no {@link Lease}, and
 * excludes only who locks the same keys in the same database this way. The name of a lock is 64 bits of a SHA-256 of the key.
 *
 * Make it the first statement, before anything is read. At REPEATABLE READ the transaction would go on seeing what was there before it
 * waited: refused.
 * @param query sends one statement on the transaction's connection
 * @throws ResourceLockedError `resource_locked`: somebody else has a key; after a `wait` PostgreSQL accepts nothing but a rollback
 * @throws CacheUsageError `no_transaction`, `invalid_isolation`, `invalid_lock_key`, `invalid_key`, `invalid_duration`, `invalid_query_result`
 * @example
 * await dataSource.transaction(async (manager) => {
 *   const query = (text, values) => manager.query(text, values);
 *   await lockInTransaction(query, ['policy', id], { wait: '2s' });
 *   // read, decide, write
 * });
 */
export async function lockInTransaction(
  query: SqlQuery,
  target: LockTarget,
  options: TransactionLockOptions = {},
): Promise<void> {
  const waitMs = durationMs(options.wait ?? 0, 'wait');
  const addresses = addressesOf(target);
  const ask: Ask = async (statement) =>
    (await askSql<Told>(query, renderSql(statement, options), 'rows')).rows[0] as Told;
  const deadline = performance.now() + waitMs;
  const mark = randomUUID();
  checkIsolation(await ask(sql`SELECT set_config(${MARK}, ${mark}, true) AS told, ${ISOLATION} AS isolation`));
  // Everybody's order: two transactions cannot wait for each other.
  for (const address of addresses) {
    const attempt = await ask(
      sql`SELECT current_setting(${MARK}, true) AS told, ${TIMEOUT} AS timeout, pg_try_advisory_xact_lock(${idOf(address)}) AS locked`,
    );
    checkTransaction(attempt.told === mark);
    if (attempt.locked === true) continue;
    const leftMs = Math.floor(deadline - performance.now());
    if (leftMs < 1) throw refused(addresses);
    await waitFor(address, attempt.timeout as string, leftMs, ask).catch((error: unknown) => {
      throw isTimeout(error) ? refused(addresses) : error;
    });
  }
}

/** Set for the transaction: it is gone where each statement is one of its own, as the lock would be. */
const MARK = 'nestjs_tiered_cache.transaction';
const ISOLATION = sql`current_setting('transaction_isolation')`;
const TIMEOUT = sql`current_setting('lock_timeout')`;

interface Told {
  readonly told: string | null;
  readonly isolation?: string;
  readonly timeout?: string;
  readonly locked?: boolean;
}

type Ask = (statement: SqlFragment) => Promise<Told>;

/** The database keeps who waits in order of arrival, and notices a deadlock with rows that were locked before. */
async function waitFor(address: LockAddress, timeout: string, leftMs: number, ask: Ask): Promise<void> {
  await ask(sql`SELECT set_config('lock_timeout', ${String(leftMs)}, true) AS told`);
  await ask(sql`SELECT CAST(pg_advisory_xact_lock(${idOf(address)}) AS text) AS told`);
  await ask(sql`SELECT set_config('lock_timeout', ${timeout}, true) AS told`);
}

function checkTransaction(isOpen: boolean): void {
  if (isOpen) return;
  throw new CacheUsageError(
    'no_transaction',
    'query() must send its statements on the connection of an open transaction: without one the lock ends with its own statement',
  );
}

function checkIsolation({ isolation }: Told): void {
  if (isolation !== 'repeatable read') return;
  throw new CacheUsageError(
    'invalid_isolation',
    'the transaction is REPEATABLE READ, and would not see what others wrote while it waited for the lock; begin it as READ COMMITTED, or as SERIALIZABLE and try again on 40001',
  );
}

function idOf({ store }: LockAddress): bigint {
  return createHash('sha256').update(`tc:lock:${store}`).digest().readBigInt64BE();
}

function refused(addresses: readonly LockAddress[]): ResourceLockedError {
  const keys = addresses.map(({ encoded }) => encoded);
  return new ResourceLockedError(keys, RETRY_AFTER_MS, 0);
}

/** As pg throws it, or as libraries on top of it wrap it. */
function isTimeout(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > 3) return false;
  const { code, originalCode, driverError, driverAdapterError, meta, cause } = error as Record<string, unknown>;
  if (code === LOCK_NOT_AVAILABLE || originalCode === LOCK_NOT_AVAILABLE) return true;
  return [driverError, driverAdapterError, meta, cause].some((inner) => isTimeout(inner, depth + 1));
}
