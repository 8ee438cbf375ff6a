import type { EntityChange } from '../entity-change.js';
import { row } from '../entity-tags.js';
import { StatementTables } from '../statement-tables.js';
import { ModelRows, type PrismaInvalidationOptions } from './model-rows.js';
import { nestedChanges } from './nested-writes.js';
import { isWritten, type PrismaCall, type PrismaDataModel } from './prisma.types.js';

const READS = /^(?:find|count|aggregate|groupBy)/;

/** What calls of a client have changed. */
export class CallChanges {
  private readonly rows: ModelRows;
  private readonly tables: StatementTables;

  constructor(dataModel: PrismaDataModel, options: PrismaInvalidationOptions) {
    this.rows = new ModelRows(dataModel, options);
    const tables = Object.entries(dataModel.models).flatMap(([model, { dbName }]): Array<[string, string]> => [
      [dbName ?? model, model],
      // The table between two models of an implicit many-to-many relation.
      ...this.rows.relationsOf(model).map(({ relationName }): [string, string] => [`_${relationName}`, model]),
    ]);
    this.tables = new StatementTables(tables, (model) => options.cascades?.[model] ?? []);
  }

  /** @param result `undefined` if it is not known what became of the call */
  of({ model, operation, args }: PrismaCall, result?: unknown): EntityChange[] {
    if (model === undefined) return this.tables.changesOf(statementOf(args));
    if (READS.test(operation)) return [];
    const { data, create, update } = isWritten(args) ? args : {};
    const results = Array.isArray(result) ? (result as unknown[]) : [result];
    return [
      ...results.map((one) => this.rowChange(model, operation, args, one)),
      ...(operation.startsWith('delete') ? this.rows.cascadesOf(model) : []),
      ...[data, create, update].flatMap((part) => nestedChanges(this.rows, model, part)),
    ];
  }

  private rowChange(entity: string, operation: string, args: unknown, result: unknown): EntityChange {
    const { where, data, update } = isWritten(args) ? args : {};
    const former = this.rows.idIn(entity, where);
    const id = this.rows.idOf(entity, result) ?? former;
    // Nor where an id has become another: two rows then are no longer what they were.
    const isSame = id !== undefined && (former === undefined || row(entity, former) === row(entity, id));
    const renames =
      operation.startsWith('up') && [data, update].some((part) => this.rows.changesId(entity, former, part));
    if (!isSame || renames) return { entity, kind: 'table' };
    const known = isWritten(result) ? this.rows.columnsOf(entity, result) : undefined;
    switch (operation) {
      case 'create':
      case 'createManyAndReturn':
        return { entity, kind: 'insert', id, ...(known && { after: known }) };
      case 'update':
      case 'updateManyAndReturn':
      case 'upsert':
        return { entity, kind: 'update', id };
      case 'delete':
        return { entity, kind: 'delete', id, ...(known && { before: known }) };
      default:
        return { entity, kind: 'table' };
    }
  }
}

/** The text of a raw statement: `Prisma.sql`, a template, or `[text, ...values]`. */
function statementOf(args: unknown): string {
  const [first] = Array.isArray(args) ? (args as unknown[]) : [args];
  if (typeof first === 'string') return first;
  if (isWritten(first) && Array.isArray(first['strings'])) return first['strings'].join('?');
  if (isWritten(first) && typeof first['sql'] === 'string') return first['sql'];
  return Array.isArray(first) ? first.join('?') : '';
}
