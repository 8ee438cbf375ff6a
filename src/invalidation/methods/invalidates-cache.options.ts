import type { CacheKey } from '../../core/cache.options.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { encodeKey } from '../../core/keys/key-encoding.js';
import {
  fail,
  fields,
  isAnything,
  isFunction,
  isText,
  listOf,
  oneOf,
  resolvable,
  type Check,
} from '../../option-checks.js';
import { isRowId, type EntityChange, type EntityId } from '../entity-change.js';
import { entityTags } from '../entity-tags.js';

/** A list, or a function of what a method has resolved to, and of its arguments; called with the method's `this`. */
export type OfResult<A extends unknown[], T, S> = S | ((result: T, args: A) => S);

/** Which row of an entity has changed. */
export interface ChangedEntity<A extends unknown[] = unknown[], T = unknown> {
  readonly entity: string;
  /** Default: nobody knows, so that everything of the entity goes. */
  readonly id?: EntityId | ((result: T, args: A) => EntityId);
}

/** The options of `@InvalidatesCache()`. `A`: the method's arguments. `T`: what it resolves to. Name both in functions, as in any callback. */
export interface InvalidatesCacheOptions<A extends unknown[] = unknown[], T = unknown> {
  /** Entries that carry one of these become misses, in all namespaces. */
  tags?: OfResult<A, T, readonly string[]>;
  /** These entries are removed. A list of keys: `[['book', 42]]` is one key of two parts. */
  keys?: OfResult<A, T, readonly CacheKey[]>;
  /** As `EntityInvalidationService.invalidateEntity()`; a function may say more of the change, so that fewer lists go. */
  entities?: readonly ChangedEntity<A, T>[] | ((result: T, args: A) => EntityChange | readonly EntityChange[]);
  /** Declared prefixes, of which all entries become misses. */
  prefixes?: OfResult<A, T, readonly CacheKey[]>;
  /** The namespace of `keys` and `prefixes`. Default: the default one. */
  namespace?: string;
  /**
   * `after`: when the method has succeeded, and before its caller is told. `before`: before it begins, whatever becomes of it; functions
   * are given no result. Default `after`.
   */
  when?: 'after' | 'before';
  /** With `before`, for a method whose declared type does not say at run time that it returns an Observable. */
  returns?: 'promise' | 'observable';
}

const isKey: Check = (value, field) => {
  if (typeof value !== 'string' && !Array.isArray(value)) fail(field, 'a key: a string or an array of parts', value);
  encodeKey(value as CacheKey);
};

const isChangedEntity: Check = (value, field) => {
  fields({ entity: isText, id: isAnything }, ['entity'])(value, field);
  entityTags((value as ChangedEntity).entity);
};

const KINDS = ['insert', 'update', 'delete', 'table'];

/** For what a function says of the changes: one or several. Their ids are looked at apart. */
export const areChanges: Check = (value, field) => {
  for (const change of [value].flat() as Array<Partial<EntityChange> | null | undefined>) {
    if (typeof change !== 'object' || change === null) fail(field, 'a change such as { entity, kind, id }', change);
    if (!KINDS.includes(change.kind as string)) fail(`${field}.kind`, `one of ${KINDS.join(', ')}`, change.kind);
    entityTags(change.entity as string);
  }
};

/** To know the id of nothing must be said, not happen. */
export const isId: Check = (value, field) => {
  if (!isRowId(value) || typeof value === 'function') fail(field, 'the id of a row', value);
};

/** What lists and functions' answers must be. */
export const targetChecks = {
  tags: listOf(isText),
  keys: listOf(isKey),
  prefixes: listOf(isKey),
} satisfies Partial<Record<keyof InvalidatesCacheOptions, Check>>;

const isOptions = fields({
  tags: resolvable(targetChecks.tags),
  keys: resolvable(targetChecks.keys),
  prefixes: resolvable(targetChecks.prefixes),
  entities: (value, field) =>
    Array.isArray(value) ? listOf(isChangedEntity)(value, field) : isFunction(value, `${field}, if it is no array,`),
  namespace: isText,
  when: oneOf('after', 'before'),
  returns: oneOf('promise', 'observable'),
});

/** @throws CacheUsageError `invalid_option`, `unknown_option`, `invalid_key`, `invalid_entity` */
export function checkInvalidatesCacheOptions(options: unknown, where: string): void {
  isOptions(options, where);
  const { tags, keys, prefixes, entities } = options as InvalidatesCacheOptions;
  if ([tags, keys, prefixes, entities].every((target) => target === undefined))
    throw new CacheUsageError(
      'invalid_option',
      `${where} says nothing of what is to be invalidated: give it tags, keys, prefixes or entities`,
    );
}
