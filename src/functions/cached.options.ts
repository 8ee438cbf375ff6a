import type { KeyPart, LoadOptions } from '../core/cache.options.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import type { AsyncReturn } from '../method-decorator.js';
import { fields, isAnything, isFunction, isText, oneOf, type Check } from '../option-checks.js';

/** What {@link Cached} can be put on. */
export type CachedReturn<T = unknown> = AsyncReturn<T>;

/** The options of `@Cached()`. `A`: the method's arguments. `T`: what it resolves to. Name both in functions, as in any callback. */
export interface CachedOptions<A extends unknown[] = unknown[], T = unknown> extends Omit<LoadOptions<T>, 'tags'> {
  /** First part of the keys: what belongs together, e.g. for `deleteByPrefix(['Author'])`. Default: none. */
  prefix?: string;
  /**
   * The function's part of its keys. Default: `<class>.<method>` of the object's own class, so that two subclasses of one base share no
   * entries. Set it where a bundler shortens class names; then only one of such subclasses may be used.
   */
  name?: string;
  /** The namespace that keeps the values and whose options these are laid over. Default: the default one. */
  namespace?: string;
  /**
   * What of a call counts, in place of all its arguments: one part, or an array of parts. Called with the method's `this`, for what else
   * the value depends on.
   * @example key: (request: Request, page: number) => [request.params.id, page]
   */
  key?: (...args: A) => KeyPart | readonly KeyPart[];
  /** Labels; invalidating one makes every entry that carries it a miss. At most 32. A function is called with the method's `this`. */
  tags?: readonly string[] | ((value: T, args: A) => readonly string[]);
  /** For a method whose declared type does not say at run time that it returns an Observable: there is none, or it is an `import type`. */
  returns?: 'promise' | 'observable';
}

const isName: Check = (value, field) => {
  isText(value, field);
  if (value === '')
    throw new CacheUsageError('invalid_option', `${field} must be a non-empty string; got an empty one`);
};

// The engine checks those of LoadOptions when it reads them; here only that there are no others.
const checks: Readonly<Record<keyof CachedOptions, Check>> = {
  prefix: isName,
  name: isName,
  namespace: isName,
  key: isFunction,
  returns: oneOf('promise', 'observable'),
  tags: isAnything,
  ttl: isAnything,
  freshFor: isAnything,
  negativeTtl: isAnything,
  jitter: isAnything,
  shouldCache: isAnything,
  softTimeout: isAnything,
  hardTimeout: isAnything,
  eagerRefresh: isAnything,
  staleWhileLoading: isAnything,
  staleIfError: isAnything,
  backOff: isAnything,
  errorTtl: isAnything,
  onLoadError: isAnything,
  onCold: isAnything,
  waitBudget: isAnything,
  lease: isAnything,
};
const isCachedOptions = fields(checks);

/** @throws CacheUsageError `invalid_option`, `unknown_option` */
export function checkCachedOptions(options: CachedOptions, where: string): void {
  isCachedOptions(options, where);
}
