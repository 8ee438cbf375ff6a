import type { EntityChange } from '../entity-change.js';
import type { ModelRows } from './model-rows.js';
import { isWritten } from './prisma.types.js';

/**
 * What the writes within `data` change in other models: the row where a plain id says which, else the table. A connected row counts as
 * changed, since its side may be the one with the foreign key.
 */
export function nestedChanges(rows: ModelRows, model: string, data: unknown): EntityChange[] {
  if (Array.isArray(data)) return data.flatMap((one) => nestedChanges(rows, model, one));
  if (!isWritten(data)) return [];
  return rows.relationsOf(model).flatMap(({ name, type }) => {
    const writes = data[name];
    if (!isWritten(writes)) return [];
    return Object.entries(writes).flatMap(([action, items]) =>
      // `set: []` lets go of all there are.
      (action === 'set' ? [items] : [items].flat()).flatMap((item) => {
        const parts = isWritten(item) ? [item, item['data'], item['create'], item['update']] : [];
        return [changeOf(rows, type, action, item), ...parts.flatMap((part) => nestedChanges(rows, type, part))];
      }),
    );
  });
}

function changeOf(rows: ModelRows, entity: string, action: string, item: unknown): EntityChange {
  const isPlain = action === 'connect' || action === 'disconnect' || action === 'delete';
  const { where, data } = isPlain ? { where: item } : action === 'update' && isWritten(item) ? item : {};
  const id = rows.idIn(entity, where);
  if (id === undefined || rows.changesId(entity, id, data)) return { entity, kind: 'table' };
  return { entity, kind: action === 'delete' ? 'delete' : 'update', id };
}
