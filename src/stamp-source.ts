import type { NamespaceOptions } from './core/cache.options.js';
import { isStampFeed } from './core/stamp-feeds.js';
import { fail, type Check } from './option-checks.js';

/** A configured stamp: a text, a function that gives one (its result is checked when it is known), or an Observable. */
export const isStampSource: Check = (value, field) => {
  if (typeof value === 'string' || typeof value === 'function' || isStampFeed(value)) return;
  fail(field, 'a string, a function that gives one, or an Observable of strings', value);
};

/** A grace needs something that changes while the application runs. */
export function checkGrace(where: string, stamp: unknown, graceField: string, grace: unknown): void {
  if (grace !== undefined && !isStampFeed(stamp))
    fail(`${where}${graceField}`, `given only where ${where}stamp is an Observable`, grace);
}

/**
 * The options with what the function of their `stamp` says.
 * @throws CacheUsageError `invalid_option` unless that is a string
 */
export async function withStamp(options: NamespaceOptions): Promise<NamespaceOptions> {
  const where = `namespace "${options.name}": `;
  checkGrace(where, options.stamp, 'stampGrace', options.stampGrace);
  if (typeof options.stamp !== 'function') return options;
  const stamp: unknown = await options.stamp();
  if (typeof stamp !== 'string') fail(`${where}stamp`, 'a function that gives a string', stamp);
  return { ...options, stamp };
}
