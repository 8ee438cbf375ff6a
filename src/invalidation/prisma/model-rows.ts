import type { EntityChange, EntityId, EntityRow } from '../entity-change.js';
import { knownColumns } from '../known-columns.js';
import { isWritten, type PrismaDataModel, type PrismaField } from './prisma.types.js';

/** What a generated client does not tell of its schema. */
export interface PrismaInvalidationOptions {
  /** By model, the field that is its `@id`, or the fields of its `@@id`. Default `id`. */
  ids?: Readonly<Record<string, string | readonly string[]>>;
  /** By model, all models whose rows the database deletes or empties when rows of it are deleted: `onDelete: Cascade`, `SetNull`. */
  cascades?: Readonly<Record<string, readonly string[]>>;
}

/** How rows of models are told apart, and what they have to do with each other. */
export class ModelRows {
  constructor(
    readonly dataModel: PrismaDataModel,
    private readonly options: PrismaInvalidationOptions,
  ) {}

  /** Of a row, or of a `where`. `undefined`: not known. */
  idOf(model: string, row: unknown): EntityId | undefined {
    if (!isWritten(row)) return undefined;
    const fields = [this.options.ids?.[model] ?? 'id'].flat();
    // A compound id is written as one more object: `where: { userId_courseId: { userId, courseId } }`.
    const candidates = fields.length === 1 ? [row] : [row, ...Object.values(row).filter(isWritten)];
    const found = candidates.find((candidate) => fields.every((field) => field in knownColumns(candidate)));
    if (found === undefined) return undefined;
    return fields.length === 1 ? (found[fields[0] as string] as EntityId) : pick(found, fields);
  }

  /** What a result tells of the row: its own columns, without the relations that were included. */
  columnsOf(model: string, row: EntityRow): EntityRow {
    const columns = this.fieldsOf(model).filter(({ kind }) => kind !== 'object');
    return knownColumns(
      pick(
        row,
        columns.map(({ name }) => name),
      ),
    );
  }

  relationsOf(model: string): readonly PrismaField[] {
    return this.fieldsOf(model).filter(({ kind, relationName }) => kind === 'object' && relationName !== undefined);
  }

  /** What goes with deleted rows of a model. */
  cascadesOf(model: string): EntityChange[] {
    return (this.options.cascades?.[model] ?? []).map((entity) => ({ entity, kind: 'table' }));
  }

  private fieldsOf(model: string): readonly PrismaField[] {
    return this.dataModel.models[model]?.fields ?? [];
  }
}

function pick(row: EntityRow, fields: readonly string[]): EntityRow {
  return Object.fromEntries(fields.filter((field) => field in row).map((field) => [field, row[field]]));
}
