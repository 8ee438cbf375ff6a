import { closestName } from './closest-name.js';
import { durationMs, lifetimeMs } from './core/clock/duration.js';
import { CacheUsageError } from './core/errors/cache.error.js';

/** Passes, or throws an error that names `field`, what it must be and the *type* found; never the value, which may be a secret. */
export type Check = (value: unknown, field: string) => void;

export function fail(field: string, wanted: string, value: unknown): never {
  throw new CacheUsageError('invalid_option', `${field} must be ${wanted}; got ${typeName(value)}`);
}

export const isBoolean: Check = (value, field) => {
  if (typeof value !== 'boolean') fail(field, 'true or false', value);
};

export const isText: Check = (value, field) => {
  if (typeof value !== 'string') fail(field, 'a string', value);
};

export const isFunction: Check = (value, field) => {
  if (typeof value !== 'function') fail(field, 'a function', value);
};

export const isDuration: Check = (value, field) => void durationMs(value as never, field);

/** A duration that takes time. */
export const isSpan: Check = (value, field) => {
  if (durationMs(value as never, field) === 0) fail(field, 'longer than 0', value);
};

export const isLifetime: Check = (value, field) => void lifetimeMs(value as never, field);

export const isCount: Check = (value, field) => {
  if (!Number.isSafeInteger(value) || (value as number) < 1) fail(field, 'a whole number of at least 1', value);
};

export const isFraction: Check = (value, field) => {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) fail(field, 'a number from 0 to 1', value);
};

export const isAnything: Check = () => {};

export const isHeaderName: Check = (value, field) => {
  if (typeof value !== 'string' || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value))
    fail(field, 'the name of a header or cookie', value);
};

export function matches(pattern: RegExp, wanted: string): Check {
  return (value, field) => {
    if (typeof value !== 'string' || !pattern.test(value)) fail(field, wanted, value);
  };
}

export function oneOf(...values: readonly unknown[]): Check {
  return (value, field) => {
    if (!values.includes(value)) fail(field, `one of ${values.map((v) => `'${String(v)}'`).join(', ')}`, value);
  };
}

/** `false`, or what passes `check`. */
export function orFalse(check: Check): Check {
  return (value, field) => {
    if (value !== false) check(value, field);
  };
}

/** A function (its result is checked when it is known), or what passes `check`. */
export function resolvable(check: Check): Check {
  return (value, field) => {
    if (typeof value !== 'function') check(value, field);
  };
}

export function listOf(check: Check): Check {
  return (value, field) => {
    if (!Array.isArray(value)) fail(field, 'an array', value);
    (value as unknown[]).forEach((item, i) => check(item, `${field}[${i}]`));
  };
}

export function recordOf(check: Check): Check {
  return (value, field) => {
    if (!isPlainObject(value)) fail(field, 'an object', value);
    for (const [name, item] of Object.entries(value)) if (item !== undefined) check(item, `${field}.${name}`);
  };
}

/** An object with no other fields than these; `undefined` counts as left out. `required` ones must be there. */
export function fields(checks: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value, field) => {
    if (!isPlainObject(value)) fail(field || 'the options', 'an object', value);
    for (const [name, item] of Object.entries(value)) {
      const path = field ? `${field}.${name}` : name;
      const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
      if (check === undefined) throw unknownOption(path, name, Object.keys(checks));
      if (item !== undefined) check(item, path);
    }
    for (const name of required)
      if (value[name] === undefined) fail(field ? `${field}.${name}` : name, 'given', undefined);
  };
}

function unknownOption(path: string, name: string, known: readonly string[]): CacheUsageError {
  const closest = closestName(name, known);
  const mend = closest === undefined ? `known are ${known.join(', ')}` : `did you mean "${closest}"?`;
  return new CacheUsageError('unknown_option', `unknown option "${path}": ${mend}`);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'an unknown class'}`;
  return typeof value === 'number' ? `the number ${value}` : `a ${typeof value}`;
}
