import 'reflect-metadata';
import { PARAMTYPES_METADATA, PROPERTY_DEPS_METADATA, SELF_DECLARED_DEPS_METADATA } from '@nestjs/common/constants.js';
import { REQUEST, type ModulesContainer } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';

/**
 * What Nest puts into an object that it makes at boot: by its constructor, then by its properties. Nothing where what is optional was not
 * found.
 */
export function partsOf(wrapper: InstanceWrapper): Array<InstanceWrapper | undefined> {
  const properties = (wrapper.getPropertiesMetadata() ?? []).map((property) => property.wrapper);
  return [...(wrapper.getCtorMetadata() ?? []), ...properties];
}

/**
 * Tells which objects are given the request (`@Inject(REQUEST)`; durable ones a payload in its place), or have something in them that is. By what
 * they declare: Nest 11 looks for the parts of what is made for each request when it is made. Of providers of one token all count.
 */
export class InjectedRequests {
  private readonly byToken = new Map<unknown, InstanceWrapper[]>();

  constructor(modules: ModulesContainer) {
    for (const { providers, injectables } of modules.values())
      for (const wrapper of [...providers.values(), ...injectables.values()])
        this.byToken.set(wrapper.token, [...(this.byToken.get(wrapper.token) ?? []), wrapper]);
  }

  reach(wrapper: InstanceWrapper, seen = new Set<InstanceWrapper>()): boolean {
    if (seen.has(wrapper) || wrapper.isDependencyTreeStatic()) return false;
    seen.add(wrapper);
    return declaredOf(wrapper).some(
      (token) => token === REQUEST || this.byToken.get(token)?.some((part) => this.reach(part, seen)),
    );
  }
}

type Declared = { readonly param?: unknown; readonly type?: unknown } & Record<string, unknown>;

/** The tokens of what an object is to be given. */
function declaredOf({ metatype, inject, isNotMetatype }: InstanceWrapper): unknown[] {
  if (inject) return inject.map(tokenOf);
  if (isNotMetatype || typeof metatype !== 'function') return [];
  const read = <T>(key: string): T[] => (Reflect.getMetadata(key, metatype) as T[] | undefined) ?? [];
  return [
    ...read<unknown>(PARAMTYPES_METADATA),
    ...read<Declared>(SELF_DECLARED_DEPS_METADATA).map(({ param }) => param),
    ...read<Declared>(PROPERTY_DEPS_METADATA).map(({ type }) => type),
  ].map(tokenOf);
}

/** `forwardRef()`s and optional ones name it within. */
function tokenOf(declared: unknown): unknown {
  if (typeof declared !== 'object' || declared === null) return declared;
  const { forwardRef, token } = declared as { forwardRef?: () => unknown; token?: unknown };
  return typeof forwardRef === 'function' ? forwardRef() : token;
}
