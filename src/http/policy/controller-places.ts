import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import { MODULE_PATH } from '@nestjs/common/constants.js';
import type { DiscoveryService } from '@nestjs/core';

/** Where a class is mounted, by its module; `undefined` if that is in several places. */
const places = new WeakMap<Type, string | undefined>();
let areAnyInSeveral = false;

/**
 * Looks where the controllers of an application are mounted (`RouterModule`). Two may have one name, one path of their own and handlers of one name.
 * @param applicationId of the application, under which Nest keeps it
 */
export function noteControllerPlaces(
  discovery: Pick<DiscoveryService, 'getControllers'>,
  applicationId: string | undefined,
): void {
  for (const { metatype, host } of discovery.getControllers()) {
    if (typeof metatype !== 'function' || !host) continue;
    const of = (key: string): unknown => Reflect.getMetadata(key, host.metatype) as unknown;
    const place = String(of(`${MODULE_PATH}${applicationId}`) ?? of(MODULE_PATH) ?? '');
    const controller = metatype as Type;
    const isElsewhere = places.has(controller) && places.get(controller) !== place;
    areAnyInSeveral ||= isElsewhere;
    places.set(controller, isElsewhere ? undefined : place);
  }
}

/** The path under which the module of a controller is mounted; `undefined`: one of several. */
export function placeOf(controller: Type): string | undefined {
  return places.has(controller) ? places.get(controller) : '';
}

/** Whether a handler of it may have been found under several paths that it knows nothing of. */
export function isInSeveralPlaces(controller: Type): boolean {
  return areAnyInSeveral && placeOf(controller) === undefined;
}
