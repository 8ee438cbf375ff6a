import { applySaved } from '../apply-saved.js';
import type { EntityInvalidationService } from '../entity-invalidation.service.js';
import type { StatementTables } from '../statement-tables.js';
import { TransactionChanges } from '../transaction-changes.js';
import type { DrizzlePrepared, DrizzleSession, DrizzleTransaction } from './drizzle.types.js';

/** A session that is listened to. */
interface Heard {
  /** The changes of its open transaction. */
  open: TransactionChanges | undefined;
}

/**
 * Listens to sessions: the one of a database, and those that its transactions run on. Drizzle's own `Cache` would hear of a change while
 * the statement is still running, without its transaction, and never of raw SQL.
 */
export class SessionChanges {
  private readonly sessions = new WeakMap<DrizzleSession, Heard>();

  constructor(
    private readonly tables: StatementTables,
    private readonly entities: EntityInvalidationService,
  ) {}

  /** From now on. A second call changes nothing. */
  hear(session: DrizzleSession): Heard {
    const known = this.sessions.get(session);
    if (known !== undefined) return known;
    const heard: Heard = { open: undefined };
    this.sessions.set(session, heard);
    const prepareQuery = session.prepareQuery.bind(session);
    session.prepareQuery = (query, ...rest) => this.prepared(prepareQuery(query, ...rest), query.sql, heard);
    const transaction = session.transaction.bind(session);
    session.transaction = (work, ...rest) => this.transaction((inside) => transaction(inside, ...rest), work);
    return heard;
  }

  private prepared(statement: DrizzlePrepared, sql: string, heard: Heard): DrizzlePrepared {
    const changes = this.tables.changesOf(sql);
    if (changes.length === 0) return statement;
    for (const method of ['execute', 'all'] as const) {
      const run = statement[method]?.bind(statement);
      if (run === undefined) continue;
      statement[method] = async (...values) => {
        const { open } = heard;
        let mayBeSaved = true;
        try {
          return await run(...values);
        } catch (error) {
          mayBeSaved = !isRefusal(error);
          throw error;
        } finally {
          if (open !== undefined) open.add(...changes);
          else if (mayBeSaved) await applySaved(this.entities, changes);
        }
      };
    }
    return statement;
  }

  private async transaction(
    begin: (inside: (tx: DrizzleTransaction) => Promise<unknown>) => Promise<unknown>,
    work: (tx: DrizzleTransaction) => Promise<unknown>,
  ): Promise<unknown> {
    const changes = new TransactionChanges(this.entities);
    const entered: Heard[] = [];
    let isDone = false;
    try {
      return await begin(async (tx) => {
        this.enter(tx, changes, entered);
        const result = await work(tx);
        isDone = true;
        return result;
      });
    } finally {
      for (const heard of entered) heard.open = undefined;
      // A commit that failed may have happened: the connection broke before the answer came.
      if (isDone) await changes.commit();
    }
  }

  /** A nested transaction may have a session of its own. Its end decides nothing. */
  private enter(tx: DrizzleTransaction, changes: TransactionChanges, entered: Heard[]): void {
    const heard = this.hear(tx._.session as DrizzleSession);
    heard.open = changes;
    entered.push(heard);
    const nest = tx.transaction.bind(tx);
    tx.transaction = (work, ...rest) =>
      nest(
        (inner) => {
          this.enter(inner, changes, entered);
          return work(inner);
        },
        ...rest,
      );
  }
}

/** Whether the database itself has said no. After a lost connection it may have done what it was told. */
function isRefusal(error: unknown): boolean {
  const { cause = error } = error as { cause?: unknown };
  const { code } = (cause ?? {}) as { code?: unknown };
  // SQLSTATE, but neither of a connection nor of a server that is going away.
  return typeof code === 'string' && /^(?!08|57)[0-9A-Z]{5}$/.test(code);
}
