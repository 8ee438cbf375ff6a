import type { Type } from '@nestjs/common';
import { REQUEST, type DiscoveryService } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';

const given = new WeakSet<Type>();

/**
 * Looks which controllers are made anew for each request, of something that is given the request (`@Inject(REQUEST)`), a tenant of it, say.
 * Constructors read before anybody could see what. Durable providers are given a payload in its place, which is part of every key.
 */
export function noteInjectedRequests(discovery: Pick<DiscoveryService, 'getControllers'>): void {
  for (const wrapper of discovery.getControllers()) {
    if (typeof wrapper.metatype !== 'function' || wrapper.isDependencyTreeStatic()) continue;
    if (!wrapper.isDependencyTreeDurable() && isGiven(wrapper, new Set())) given.add(wrapper.metatype as Type);
  }
}

/** Whether what a controller answers may depend on anything in the request, unseen. */
export function isGivenRequest(controller: Type): boolean {
  return given.has(controller);
}

function isGiven(wrapper: InstanceWrapper, seen: Set<InstanceWrapper>): boolean {
  if (wrapper.token === REQUEST) return true;
  if (seen.has(wrapper)) return false;
  seen.add(wrapper);
  const parts = [
    ...(wrapper.getCtorMetadata() ?? []),
    ...(wrapper.getPropertiesMetadata() ?? []).map((property) => property.wrapper),
  ];
  return parts.some((part) => isGiven(part, seen));
}
