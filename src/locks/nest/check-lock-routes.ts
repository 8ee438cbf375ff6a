import 'reflect-metadata';
import { Logger, RequestMethod } from '@nestjs/common';
import { GUARDS_METADATA, METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { CacheLockGuard } from './cache-lock.guard.js';
import { lockedHandlers, type LockedHandler } from './locked-handlers.js';

/** What Nest's optional packages put on what they call. */
const PATTERN = 'microservices:pattern';
const MESSAGE = 'websockets:message_mapping';
const RESOLVER = 'graphql:resolver_type';
const FIELD_RESOLVER = 'graphql:resolve_property';

const logger = new Logger('CacheLock');

/**
 * Looks at all `@CacheLock()`s of an application, and warns of those that do less than they seem to. `true` if there is any.
 * @throws CacheUsageError `unsupported_lock` where a lock would not hold, `invalid_option` without a key
 */
export function checkLockRoutes(...where: Parameters<typeof lockedHandlers>): boolean {
  let found = false;
  for (const locked of lockedHandlers(...where)) {
    if (locked.isByClass && !isCalledByNest(locked)) continue;
    found = true;
    checkHandler(locked);
  }
  return found;
}

function checkHandler(locked: LockedHandler): void {
  const { type, name, handler } = locked;
  const at = `${type.name}.${name}`;
  if (has(FIELD_RESOLVER, handler) || Reflect.getMetadata(RESOLVER, handler) === 'Subscription')
    throw new CacheUsageError(
      'unsupported_lock',
      `${at}: @CacheLock is for queries and mutations; for fields and subscriptions use CacheLockService.run()`,
    );
  if (!isCalledByNest(locked))
    logger.warn(`${at} is no route and no message handler: if Nest does not call it, @CacheLock does nothing there`);
  if (has(PATH_METADATA, handler) && isSafe(handler))
    logger.warn(`${at}: @CacheLock on a GET route makes its readers exclude each other`);
  const late = guardsAfter(locked);
  if (late.length > 0)
    logger.warn(
      `${at}: ${late.join(', ')} runs after the lock is taken, so that whom it turns away can hold the lock meanwhile, and the key cannot tell users apart; put @CacheLock above @UseGuards`,
    );
}

function isCalledByNest({ handler }: LockedHandler): boolean {
  return [PATH_METADATA, PATTERN, MESSAGE, RESOLVER].some((key) => has(key, handler));
}

function isSafe(handler: object): boolean {
  return [RequestMethod.GET, RequestMethod.HEAD].includes(
    Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod,
  );
}

/** In Nest's order: those of the class, then those of the handler. */
function guardsAfter({ type, handler }: LockedHandler): string[] {
  const guards = [type, handler].flatMap((marked) => (Reflect.getMetadata(GUARDS_METADATA, marked) ?? []) as unknown[]);
  return guards
    .slice(guards.indexOf(CacheLockGuard) + 1)
    .filter((guard) => guard !== CacheLockGuard && !(guard as { allowsEverything?: boolean }).allowsEverything)
    .map((guard) => (typeof guard === 'function' ? guard.name : (guard as object).constructor.name));
}

function has(key: string, target: object): boolean {
  return Reflect.hasMetadata(key, target);
}
