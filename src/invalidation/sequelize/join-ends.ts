import { isRowId, type EntityChange } from '../entity-change.js';
import type { SequelizeInstance, SequelizeModel } from './sequelize.types.js';
import { storedColumns } from './stored-value.js';

/** One of the two models that a join table links (`belongsToMany`). */
interface JoinEnd {
  readonly model: SequelizeModel;
  /** The attribute of the join table that tells its row. */
  readonly column: string | undefined;
  /** The attribute that this refers to. */
  readonly key: string | undefined;
}

/** What the rows of a model link; nothing for any other than a join table. Asked anew: models are associated late. */
export function endsOf(models: readonly SequelizeModel[], entity: string): JoinEnd[] {
  return models
    .flatMap(({ associations = {} }) => Object.values(associations))
    .filter(({ associationType, through }) => associationType === 'BelongsToMany' && through?.model?.name === entity)
    .flatMap(({ source, target, foreignKey, otherKey, sourceKey, targetKey }) => [
      ...(source ? [{ model: source, column: foreignKey, key: sourceKey }] : []),
      ...(target ? [{ model: target, column: otherKey, key: targetKey }] : []),
    ]);
}

/** Both ends of a row of a join table show something else now: the rows that it links, and has linked before. */
export function changesOfEnds(models: readonly SequelizeModel[], instance: SequelizeInstance): EntityChange[] {
  const join = instance.constructor as SequelizeModel;
  return endsOf(models, join.name).flatMap((end) => changesOfEnd(end, join, instance));
}

function changesOfEnd(end: JoinEnd, join: SequelizeModel, instance: SequelizeInstance): EntityChange[] {
  const { model, column, key } = end;
  const { name: entity, primaryKeyAttributes } = model;
  if (column === undefined || primaryKeyAttributes.join() !== key) return [{ entity, kind: 'table' }];
  const now = instance.dataValues[column];
  const ids = [now, instance.previous(column) ?? now].map((id) => storedColumns(join, { [column]: id })[column]);
  if (!ids.every(isRowId)) return [{ entity, kind: 'table' }];
  return [...new Set(ids)].map((id) => ({ entity, kind: 'update', id }));
}
