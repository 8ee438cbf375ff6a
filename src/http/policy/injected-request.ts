import type { Type } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import type { InjectedRequests } from '../../injected-parts.js';

const made = new WeakSet<Type>();
const given = new WeakSet<Type>();

/**
 * Looks which controllers, resolvers and gateways are made anew for each request, of something that is given the request (`@Inject(REQUEST)`), a
 * tenant of it, say. Constructors read before anybody could see what. Durable providers are given a payload in its place, which is part of
 * every key.
 */
export function noteInjectedRequests(
  discovery: Pick<DiscoveryService, 'getControllers' | 'getProviders'>,
  requests: InjectedRequests,
): void {
  for (const wrapper of [...discovery.getControllers(), ...discovery.getProviders()]) {
    if (wrapper.isNotMetatype || wrapper.isDependencyTreeStatic() || wrapper.isDependencyTreeDurable()) continue;
    made.add(wrapper.metatype as Type);
    if (requests.reach(wrapper)) given.add(wrapper.metatype as Type);
  }
}

/** Whether constructors of what a controller is made of run for each request: what middleware has left in contexts, they may have read. */
export function isMadeForRequest(controller: Type): boolean {
  return made.has(controller);
}

/** Whether what a controller answers may depend on anything in the request, unseen. */
export function dependsOnRequest(controller: Type): boolean {
  return given.has(controller);
}
