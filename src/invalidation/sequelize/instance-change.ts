import type { EntityChange, EntityId, EntityRow } from '../entity-change.js';
import type { SequelizeInstance, SequelizeModel, SequelizeStatement } from './sequelize.types.js';
import { storedColumns } from './stored-value.js';

/** What a statement of an instance has changed. `undefined`: it is not one of an instance, or nobody knows which row it is. */
export function instanceChange({ type, instance, increment }: SequelizeStatement): EntityChange | undefined {
  if (instance === undefined) return undefined;
  const model = instance.constructor as SequelizeModel;
  const id = idOf(instance, model);
  if (id === undefined) return undefined;
  const entity = model.name;
  const [before, after] = [formerRow(instance, model), storedColumns(model, instance.dataValues)];
  if (type === 'INSERT') return { entity, kind: 'insert', id, after };
  if (type === 'DELETE') return { entity, kind: 'delete', id, before };
  // Neither tells what the row has become; an upsert not even whether it was there.
  if (type === 'UPSERT' || increment !== undefined) return { entity, kind: 'update', id };
  if (type !== 'UPDATE') return undefined;
  if (!isDeletedOrRestored(instance, model)) return { entity, kind: 'update', id, before, after };
  return instance.isSoftDeleted() ? { entity, kind: 'delete', id, before } : { entity, kind: 'insert', id, after };
}

function idOf({ dataValues }: SequelizeInstance, model: SequelizeModel): EntityId | undefined {
  const { primaryKeyAttributes } = model;
  const id = storedColumns(
    model,
    Object.fromEntries(primaryKeyAttributes.map((column) => [column, dataValues[column]])),
  );
  const columns = Object.keys(id);
  if (columns.length === 0 || columns.length < primaryKeyAttributes.length) return undefined;
  return columns.length === 1 ? (Object.values(id)[0] as EntityId) : id;
}

/** The row as the instance was loaded or saved last; a column that was not loaded is left out. */
function formerRow(instance: SequelizeInstance, model: SequelizeModel): EntityRow {
  // One by one: without a name, `previous()` leaves out the columns that Sequelize itself has set, such as `updatedAt`.
  return storedColumns(
    model,
    Object.fromEntries(Object.keys(instance.dataValues).map((column) => [column, instance.previous(column)])),
  );
}

/** In a paranoid model both are updates of one column. */
function isDeletedOrRestored(instance: SequelizeInstance, { options }: SequelizeModel): boolean {
  if (options.paranoid !== true) return false;
  const column = typeof options.deletedAt === 'string' ? options.deletedAt : 'deletedAt';
  return instance.previous(column) !== instance.dataValues[column];
}
