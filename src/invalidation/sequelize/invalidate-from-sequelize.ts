import { applySaved } from '../apply-saved.js';
import type { EntityChange } from '../entity-change.js';
import type { EntityInvalidationService } from '../entity-invalidation.service.js';
import { TransactionChanges } from '../transaction-changes.js';
import { instanceChange } from './instance-change.js';
import { changesOfEnds } from './join-ends.js';
import { ModelTables } from './model-tables.js';
import type { SequelizeLike, SequelizeStatement, SequelizeTransaction } from './sequelize.types.js';

/**
 * From now on whatever is changed through this Sequelize is invalidated: at once, or after the outermost commit of its transaction. Call
 * it once per Sequelize. An entity has the name of its model. For where there is no `SequelizeInvalidationModule`.
 * @returns a function that ends it
 * @example invalidateFromSequelize(sequelize, entities);
 */
export function invalidateFromSequelize(sequelize: SequelizeLike, entities: EntityInvalidationService): () => void {
  const transactions = new WeakMap<SequelizeTransaction, TransactionChanges>();
  let known = new ModelTables([]);

  /** Models may be defined at any time. */
  function tables(): ModelTables {
    const models = Object.values(sequelize.models);
    if (known.models.length !== models.length) known = new ModelTables(models);
    return known;
  }

  function changesOf(statement: SequelizeStatement, sql: string): EntityChange[] {
    const change = instanceChange(statement);
    const { instance } = statement;
    if (change === undefined || instance === undefined) return tables().changesOf(sql);
    const gone = statement.type === 'DELETE' ? tables().dependentsOf(change.entity) : [];
    const ends = changesOfEnds(tables().models, instance);
    return [change, ...ends, ...gone.map((entity) => ({ entity, kind: 'table' }) as const)];
  }

  function pendingOf(transaction: SequelizeTransaction): TransactionChanges {
    const outermost = outermostOf(transaction);
    let pending = transactions.get(outermost);
    if (pending === undefined) {
      const changes = (pending = new TransactionChanges(entities));
      transactions.set(outermost, changes);
      // Called also if the COMMIT has failed, when nobody knows whether it happened.
      outermost.afterCommit(async () => void (await changes.commit()));
    }
    return pending;
  }

  // Of all hooks this is the one that also sees bulk and raw statements, increments and calls with `hooks: false`.
  const hear = async (options: object, query: object): Promise<void> => {
    const statement = options as SequelizeStatement;
    const changes = changesOf(statement, (query as { sql?: string }).sql ?? '');
    if (changes.length === 0) return;
    if (statement.transaction) pendingOf(statement.transaction).add(...changes);
    else await applySaved(entities, changes);
  };
  const name = `nestjs-tiered-cache ${crypto.randomUUID()}`;
  sequelize.addHook('afterQuery', name, hear);
  return () => void sequelize.removeHook('afterQuery', name);
}

function outermostOf(transaction: SequelizeTransaction): SequelizeTransaction {
  return transaction.parent ? outermostOf(transaction.parent) : transaction;
}
