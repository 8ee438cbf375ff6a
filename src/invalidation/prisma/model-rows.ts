import type { EntityChange, EntityId, EntityRow } from '../entity-change.js';
import { knownColumns } from '../known-columns.js';
import { isWritten, type PrismaDataModel, type PrismaField } from './prisma.types.js';
import { isAsStored } from './stored-value.js';

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

  /** Of a row as the database has told it. `undefined`: not known. */
  idOf(model: string, row: unknown): EntityId | undefined {
    if (!isWritten(row)) return undefined;
    const fields = this.idFieldsOf(model);
    // A compound id is written as one more object: `where: { userId_courseId: { userId, courseId } }`.
    const candidates = fields.length === 1 ? [row] : [row, ...Object.values(row).filter(isWritten)];
    const found = candidates.find((candidate) => fields.every((field) => field in knownColumns(candidate)));
    if (found === undefined) return undefined;
    return fields.length === 1 ? (found[fields[0] as string] as EntityId) : pick(found, fields);
  }

  /** Of a `where`. `undefined`: not known, or not how the database has it, so that nobody knows here which row it is. */
  idIn(model: string, where: unknown): EntityId | undefined {
    const id = this.idOf(model, where);
    if (id === undefined) return undefined;
    const { provider } = this.dataModel;
    const fields = this.fieldsOf(model);
    const isStored = Object.entries(this.columnsOfId(model, id)).every(([column, value]) =>
      isAsStored(
        fields.find(({ name }) => name === column),
        value,
        provider,
      ),
    );
    return isStored ? id : undefined;
  }

  /** Whether `data` gives another id to the row with this one; where that is not known, whether it gives it one. */
  changesId(model: string, id: EntityId | undefined, data: unknown): boolean {
    if (!isWritten(data)) return false;
    const columns = id === undefined ? {} : this.columnsOfId(model, id);
    const given = this.idFieldsOf(model).filter((field) => data[field] !== undefined);
    return given.some((field) => !(field in columns) || String(data[field]) !== String(columns[field]));
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

  private idFieldsOf(model: string): string[] {
    return [this.options.ids?.[model] ?? 'id'].flat();
  }

  private columnsOfId(model: string, id: EntityId): EntityRow {
    return typeof id === 'object' ? id : { [this.idFieldsOf(model)[0] as string]: id };
  }

  private fieldsOf(model: string): readonly PrismaField[] {
    return this.dataModel.models[model]?.fields ?? [];
  }
}

function pick(row: EntityRow, fields: readonly string[]): EntityRow {
  return Object.fromEntries(fields.filter((field) => field in row).map((field) => [field, row[field]]));
}
