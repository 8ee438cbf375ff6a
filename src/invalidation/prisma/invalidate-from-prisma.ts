import { CacheUsageError } from '../../core/errors/cache.error.js';
import { applySaved } from '../apply-saved.js';
import type { EntityInvalidationService } from '../entity-invalidation.service.js';
import { CallChanges } from './call-changes.js';
import type { PrismaInvalidationOptions } from './model-rows.js';
import { OpenTransactions } from './open-transactions.js';
import type { PrismaDataModel, PrismaLike, PrismaPromise, PrismaQuery } from './prisma.types.js';
import { isRefusal } from './refusal.js';

/** A statement that never reaches the database: our own extension answers it with the id of the transaction. */
const WHICH_TRANSACTION = 'nestjs-tiered-cache: which transaction is this?';

type Transact = (this: unknown, work: unknown, ...rest: unknown[]) => Promise<unknown>;

/**
 * The client, extended: whatever is changed through it is invalidated, at once, or after the outermost commit of its transaction. An entity
 * has the name of its model. Use the client that is returned; of what the given one does nothing is seen.
 * @throws CacheUsageError `unsupported_orm` if it is not a client of Prisma 7 for a SQL database
 * @example
 * { provide: PrismaService, inject: [EntityInvalidationService], useFactory: (entities) => invalidateFromPrisma(new PrismaService(), entities) }
 */
export function invalidateFromPrisma<C extends PrismaLike>(
  client: C,
  entities: EntityInvalidationService,
  options: PrismaInvalidationOptions = {},
): C {
  const changes = new CallChanges(dataModelOf(client), options);
  const transactions = new OpenTransactions(entities);
  const transact = client.$transaction as Transact;

  async function query(call: PrismaQuery): Promise<unknown> {
    // The transaction itself, and no context, says which one it is: what is not in it must not wait for it.
    const id = call.__internalParams?.transaction?.id;
    if (Array.isArray(call.args) && call.args[0] === WHICH_TRANSACTION) return id;
    const tell = async (result?: unknown): Promise<void> => {
      const found = changes.of(call, result);
      const pending = transactions.changesOf(id);
      if (pending !== undefined) pending.add(...found);
      else if (found.length > 0) await applySaved(entities, found);
    };
    let result: unknown;
    try {
      result = await call.query(call.args);
    } catch (error) {
      if (!isRefusal(error)) await tell();
      throw error;
    }
    await tell(result);
    return result;
  }

  function transaction(this: unknown, work: unknown, ...rest: unknown[]): Promise<unknown> {
    return transactions.run(async ({ begun, done }) => {
      if (Array.isArray(work)) {
        done();
        return transact.call(this, withFirst(work as PrismaPromise[], begun), ...rest);
      }
      const inside = async (tx: { $queryRawUnsafe(sql: string): Promise<unknown> }): Promise<unknown> => {
        begun(await tx.$queryRawUnsafe(WHICH_TRANSACTION));
        const result: unknown = await (work as (client: unknown) => unknown)(tx);
        done();
        return result;
      };
      return transact.call(this, inside, ...rest);
    });
  }

  const extension = {
    name: 'nestjs-tiered-cache',
    query: { $allOperations: query },
    client: { $transaction: transaction },
  };
  return (client as { $extends(extension: object): unknown }).$extends(extension) as C;
}

/**
 * The calls of an array. Each is told its transaction when that begins, and through the first so are we. That is needed: a call before the
 * one that fails is answered as if it had been saved.
 */
function withFirst([first, ...others]: readonly PrismaPromise[], begun: (id: unknown) => void): PrismaPromise[] {
  if (first?.requestTransaction === undefined) return first === undefined ? [] : [first, ...others];
  const heard: PrismaPromise = {
    [Symbol.toStringTag]: 'PrismaPromise',
    requestTransaction: (transaction) => {
      begun(transaction.id);
      return first.requestTransaction?.(transaction);
    },
  };
  return [heard, ...others];
}

function dataModelOf(client: PrismaLike): PrismaDataModel {
  const known = client as { _runtimeDataModel?: PrismaDataModel; _activeProvider?: string };
  const models = known._runtimeDataModel?.models;
  if (typeof models === 'object') return { models, provider: known._activeProvider };
  throw new CacheUsageError(
    'unsupported_orm',
    `client must be a client of Prisma 7 for a SQL database; got a ${typeof client} that does not tell its models`,
  );
}
