import type { DiscoveryService, ModulesContainer } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import { InjectedRequests } from '../injected-parts.js';
import { functionsOf, type CachedFunction } from './cached-function.js';
import { areConfiguredAlike } from './configured-alike.js';
import type { FunctionRegistry } from './function-registry.js';

/**
 * Looks at all `@Cached()` methods of an application at boot. When one is first called it is too late: what another process has stored
 * under the key of another function, or for another tenant, would be served.
 * @throws CacheUsageError as FunctionRegistry.bind; `unkeyed_request`, `unkeyed_configuration` for a method whose `this` depends on what
 * its key does not tell
 */
export function checkCachedMethods(
  discovery: Pick<DiscoveryService, 'getControllers' | 'getProviders'>,
  modules: ModulesContainer,
  registry: FunctionRegistry,
): void {
  const enhancers = [...modules.values()].flatMap(({ injectables }) => [...injectables.values()]);
  const requests = new InjectedRequests(modules);
  const first = new Map<unknown, InstanceWrapper>();
  for (const wrapper of [...discovery.getControllers(), ...discovery.getProviders(), ...enhancers]) {
    const { metatype } = wrapper;
    if (wrapper.isNotMetatype || typeof metatype !== 'function' || !metatype.prototype) continue;
    const functions = functionsOf(metatype.prototype as object);
    if (functions.length === 0) continue;
    const likeIt = Object.create(metatype.prototype as object) as object;
    for (const fn of functions) registry.bind(fn, likeIt);
    const unkeyed = functions.find(({ options }) => options.key === undefined);
    if (!unkeyed) continue;
    if (requests.reach(wrapper)) throw unkeyedRequest(metatype.name, unkeyed);
    const former = first.get(metatype);
    if (former === undefined) first.set(metatype, wrapper);
    else if (!areConfiguredAlike(former, wrapper)) throw unkeyedConfiguration(metatype.name, unkeyed);
  }
}

function unkeyedRequest(type: string, { property }: CachedFunction): CacheUsageError {
  return new CacheUsageError(
    'unkeyed_request',
    `${type}.${String(property)} is cached, and its object is given the request (@Inject(REQUEST)), or something in it is: everybody would get what the first was given. ${mend(type)}`,
  );
}

function unkeyedConfiguration(type: string, { property }: CachedFunction): CacheUsageError {
  return new CacheUsageError(
    'unkeyed_configuration',
    `${type}.${String(property)} is cached, and there are several ${type}s that are made of different things: each would get what another has loaded. ${mend(type)}`,
  );
}

function mend(type: string): string {
  return `Let the option "key" say what tells them apart: key(this: ${type}, id: string) { return [this.tenant, id]; }; if nothing does, let it return the arguments`;
}
