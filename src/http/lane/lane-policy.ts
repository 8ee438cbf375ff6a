import { VersioningType } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import type { CompiledPolicy } from '../policy/compiled.policy.js';
import type { Versioning } from '../policy/version-inputs.js';

/**
 * Stops the boot for a policy that cannot be told from a request as it arrives: before middleware, routing, guards.
 * @throws CacheUsageError `invalid_option`
 */
export function checkLanePolicy(policy: CompiledPolicy): void {
  const { where, kind, components, keyFunction, cookies } = policy;
  if (kind !== 'page') throw wrong(`${where}.beforeGuards is for whole responses: use @CachePage()`);
  if (keyFunction !== undefined)
    throw wrong(
      `${where}.key is a function, which nobody can ask before guards; list components, or leave beforeGuards out`,
    );
  const unknown = components.find(({ covers, isLearned, principal }) => {
    return (
      isLearned === true ||
      principal !== undefined ||
      covers.some((name) => !/^(?:header:|query:|param:|url$)/.test(name))
    );
  });
  if (unknown !== undefined || cookies !== undefined)
    throw wrong(
      `${where}.beforeGuards: the key may be made of path, query and headers only; leave out ${unknown?.name ?? 'cookies'}, or beforeGuards`,
    );
  for (const field of ['public', 'bypass', 'clientDirectives'] as const)
    if (typeof policy[field] === 'function')
      throw wrong(
        `${where}.${field} is a function, which nobody can ask before guards; give a value, or leave beforeGuards out`,
      );
}

/** How versions are told from requests; `'unknown'` if this Nest does not show it. */
export function versioningOf(modules: Iterable<unknown>): Versioning {
  for (const module of modules) {
    const { container } = module as { container?: { applicationConfig?: Partial<ApplicationConfig> } };
    const config = container?.applicationConfig;
    if (typeof config?.getVersioning === 'function') return config.getVersioning();
  }
  return 'unknown';
}

/** The request headers that decide, besides method, scheme, host, path and query, which page is asked for; `undefined`: nobody knows. */
export function laneHeaders(policy: CompiledPolicy, versioning: Versioning): string[] | undefined {
  if (versioning === 'unknown') return undefined;
  switch (versioning?.type) {
    case VersioningType.CUSTOM:
      return undefined;
    case VersioningType.HEADER:
      return [...policy.vary, versioning.header.toLowerCase()];
    case VersioningType.MEDIA_TYPE:
      return [...policy.vary, 'accept'];
    default:
      return [...policy.vary];
  }
}

function wrong(message: string): CacheUsageError {
  return new CacheUsageError('invalid_option', message);
}
