import 'reflect-metadata';
import type { DeclaredInvalidation } from './declared-invalidation.js';
import type { DeclaredInvalidations } from './declared-invalidations.js';

const DECLARED: unique symbol = Symbol('nestjs-tiered-cache:invalidates-cache');

interface Discovery {
  getControllers(): ReadonlyArray<{ readonly metatype: unknown }>;
  getProviders(): ReadonlyArray<{ readonly metatype: unknown }>;
}

/** Remembers it with its class, for the check at boot. */
export function registerInvalidation(target: object, declared: DeclaredInvalidation): void {
  const { constructor } = target;
  const others = (Reflect.getOwnMetadata(DECLARED, constructor) as readonly DeclaredInvalidation[] | undefined) ?? [];
  Reflect.defineMetadata(DECLARED, [...others, declared], constructor);
}

/** At boot, when all namespaces are known: later it would fail what has succeeded. @throws CacheUsageError `unknown_namespace`, `undeclared_prefix` */
export function checkDeclaredMethods(discovery: Discovery, invalidations: DeclaredInvalidations): void {
  const types = new Set([...discovery.getControllers(), ...discovery.getProviders()].map(({ metatype }) => metatype));
  for (const type of types) for (const declared of declaredOf(type)) invalidations.check(declared);
}

/** Of a class and its bases. */
function declaredOf(type: unknown): readonly DeclaredInvalidation[] {
  if (typeof type !== 'function') return [];
  const own = (Reflect.getOwnMetadata(DECLARED, type) as readonly DeclaredInvalidation[] | undefined) ?? [];
  return [...own, ...declaredOf(Object.getPrototypeOf(type))];
}
