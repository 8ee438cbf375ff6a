import { isDeepStrictEqual } from 'node:util';
import { ModuleRef } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { partsOf } from '../injected-parts.js';

/**
 * Whether two objects that Nest makes of one class are made of the same: a class that is a provider of two modules, or a dynamic module that
 * is imported twice. One that is made for whoever asks for it (transient) counts as the same: loggers are such.
 */
export function areConfiguredAlike(one: InstanceWrapper, other: InstanceWrapper, seen = new Set<object>()): boolean {
  if (one === other || seen.has(one)) return true;
  seen.add(one);
  if (one.token === ModuleRef && other.token === ModuleRef) return true;
  const isClass = !one.isNotMetatype && !other.isNotMetatype;
  if (!isClass && isSameValue(one.instance, other.instance)) return true;
  // A value has no parts.
  if (!one.metatype || one.metatype !== other.metatype) return false;
  if (one.isTransient) return true;
  const [parts, others] = [partsOf(one), partsOf(other)];
  return parts.length === others.length && parts.every((part, i) => areAlike(part, others[i], seen));
}

/** What is `@Optional()` and was not found is nothing. */
function areAlike(one: InstanceWrapper | undefined, other: InstanceWrapper | undefined, seen: Set<object>): boolean {
  return one && other ? areConfiguredAlike(one, other, seen) : one === other;
}

function isSameValue(one: unknown, other: unknown): boolean {
  try {
    return isDeepStrictEqual(one, other);
  } catch {
    // There are proxies that answer inside a request only.
    return false;
  }
}
