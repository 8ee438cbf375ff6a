import { CacheUsageError } from '../../core/errors/cache.error.js';
import { fields, isAnything, oneOf } from '../../option-checks.js';
import { addressesOf } from '../lock-key.js';
import { planLock, type LockOptions } from '../lock.options.js';
import type { LockRouteKey } from './lock-route-key.js';

/** What `@CacheLock()` takes. What is left out is that of the class' decorator, the module's `locks`, then the default. */
export interface CacheLockOptions extends Pick<LockOptions, 'lease' | 'maxHold' | 'wait' | 'maxQueue' | 'mode'> {
  /**
   * What is locked: a key, several by `allOf()`, or a function of the call. The function sees what the client sent, before any pipe. A part
   * that is missing, or is an object, is answered with 400.
   */
  key?: LockRouteKey;
  /** Answers who finds it held. `Retry-After` comes with all of them; browsers and most clients act on it at 429 only. Default 429. */
  status?: 429 | 409 | 423;
  /** What becomes of a result whose lock was lost meanwhile: `report` (it stands, the loss is logged) or `fail` (503). Default `report`. */
  onLost?: 'report' | 'fail';
  /**
   * What becomes of an Observable that the handler returned when nobody listens any more: it goes on under the lock (`drain`), or is
   * unsubscribed from (`teardown`), as Nest does without a lock. Promises always go on. Default `drain`; for `@Sse()` always `teardown`.
   */
  onCancel?: 'drain' | 'teardown';
}

/** As the guard uses them. */
export interface CacheLockPlan extends CacheLockOptions {
  readonly key: LockRouteKey;
  readonly status: 429 | 409 | 423;
}

const check = fields({
  key: isAnything,
  lease: isAnything,
  maxHold: isAnything,
  wait: isAnything,
  maxQueue: isAnything,
  mode: isAnything,
  status: oneOf(429, 409, 423),
  onLost: oneOf('report', 'fail'),
  onCancel: oneOf('drain', 'teardown'),
});

/** At definition time. @throws CacheUsageError `unknown_option`, `invalid_option`, `invalid_duration`, `invalid_key` */
export function checkCacheLockOptions(options: CacheLockOptions): void {
  check(options, '@CacheLock');
  planLock(options);
  if (options.key !== undefined && typeof options.key !== 'function') addressesOf(options.key);
}

/** A handler's decorator over its class', field by field. @throws CacheUsageError `invalid_option` without a key */
export function mergeCacheLocks(
  ofClass: CacheLockOptions | undefined,
  ofHandler: CacheLockOptions | undefined,
): CacheLockPlan | undefined {
  if (ofClass === undefined && ofHandler === undefined) return undefined;
  const { key, status = 429, ...others } = { ...ofClass, ...ofHandler };
  if (key === undefined)
    throw new CacheUsageError('invalid_option', '@CacheLock needs a key, on the handler or on its class');
  return { ...others, key, status };
}
