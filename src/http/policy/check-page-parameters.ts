import type { Type } from '@nestjs/common';
import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import type { QueryAllowance } from '../keys/key-component.js';
import type { CompiledPolicy } from './compiled.policy.js';
import { declaredQuery } from './declared-query.js';
import { handlerIdentity } from './handler-identity.js';
import { isCovered } from './input-name.js';
import { hiddenFrom } from './narrowed-request.js';
import type { Handler } from './of-handlers.js';
import { readRoutes } from './read-routes.js';
import type { ResponseCachePolicies } from './response-cache.policies.js';

/**
 * Stops the boot when a cached route declares a query parameter that its explicit key leaves out: all pages would be the first one. Compiles
 * every handler's policy, so that their mistakes are found as well. To be called once all modules are there.
 * @throws CacheUsageError `unkeyed_parameter` with route and parameter; whatever {@link ResponseCachePolicies.ofHandler} throws
 */
export function checkPageParameters(
  discovery: Pick<DiscoveryService, 'getControllers'>,
  scanner: Pick<MetadataScanner, 'getAllMethodNames'>,
  policies: ResponseCachePolicies,
): void {
  for (const { controller, name, handler } of readRoutes(discovery, scanner))
    checkHandler(controller, name, handler, policies);
}

function checkHandler(controller: Type, name: string, handler: Handler, policies: ResponseCachePolicies): void {
  const policy = policies.ofHandler(controller, handler);
  const allowance = policy && allowanceOf(policy);
  if (policy === undefined || allowance === undefined) return;
  const hidden = hiddenFrom(allowance, declaredQuery(controller, name));
  if (hidden.length === 0) return;
  const route = handlerIdentity(controller, handler).route ?? '';
  const names = hidden.map((parameter) => `"${parameter}"`).join(', ');
  throw new CacheUsageError(
    'unkeyed_parameter',
    `${policy.where} (GET ${route}) declares the query parameter ${names}, which its cache key leaves out; add it to byQuery() or byPagination(), or to byQuery(..., { ignore })`,
  );
}

/** A key without any part for the query distinguishes no parameter; that of a function is known when it has run. */
function allowanceOf({ query, covers, isLearned }: CompiledPolicy): QueryAllowance | undefined {
  if (query !== undefined || isLearned || isCovered('query:*', covers)) return query;
  return { allow: [], defaults: {}, ignore: [] };
}
