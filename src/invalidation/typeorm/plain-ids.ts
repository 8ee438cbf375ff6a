import type { EntityMetadata } from 'typeorm';
import type { EntityId } from '../entity-change.js';
import { isAsStored } from './stored-value.js';

const PARAMETER = String.raw`(?:\$\d+|\?)`;

/**
 * The ids in a statement that TypeORM has made for `update(42, ...)`, `delete([1, 2])` and the like: when its whole condition is the
 * primary key, but for the mark of a soft deletion. `undefined` for any other condition, and for ids that the database may spell otherwise.
 */
export function plainIds(metadata: EntityMetadata, text: string, parameters: unknown): EntityId[] | undefined {
  const [key, ...more] = metadata.primaryColumns;
  if (key === undefined || more.length > 0 || !Array.isArray(parameters)) return undefined;
  // The condition may be that of a subquery.
  if (/\bselect\b/i.test(text)) return undefined;
  const name = key.databaseName.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const condition = new RegExp(
    String.raw`\bWHERE \(*(?:[\w"\`\[\].]+\.)?["\`\[]?${name}["\`\]]? (?:= (${PARAMETER})|IN \((${PARAMETER}(?:, ?${PARAMETER})*)\))\)*(?: AND \S+ IS (?:NOT )?NULL)?(?: RETURNING [^$?]*)?$`,
  ).exec(text);
  const places = (condition?.[1] ?? condition?.[2])?.split(/, ?/);
  if (places === undefined) return undefined;
  const values = places.map((place, i) =>
    place === '?' ? parameters.at(i - places.length) : parameters[Number(place.slice(1)) - 1],
  );
  const isExact = (value: unknown): value is EntityId & (string | number | bigint) =>
    isId(value) && isAsStored(key, value);
  return values.every(isExact) ? values : undefined;
}

function isId(value: unknown): value is string | number | bigint {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
}
