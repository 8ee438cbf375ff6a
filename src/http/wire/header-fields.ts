import { rawResponseOf } from './raw-exchange.js';

/** Response header fields: lower-case names; a field sent several times is an array. */
export type HeaderFields = Readonly<Record<string, string | readonly string[]>>;

/** Fields to set on the way out; `undefined` removes one. */
export type HeaderChanges = Readonly<Record<string, string | readonly string[] | undefined>>;

type Line = HeaderFields[string];

type Settable = number | string | readonly string[] | undefined;

/** One form for what Node, Express and Fastify accept: lower-case names, strings. */
export function headerFields(headers: Readonly<Record<string, Settable>>): Record<string, string | readonly string[]> {
  const fields: Record<string, string | readonly string[]> = {};
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    // HTTP/2 lists its pseudo-fields among them.
    if (value !== undefined && value !== null && !name.startsWith(':')) fields[name.toLowerCase()] = fieldValue(value);
  }
  return fields;
}

/**
 * The fields that are set before the handler runs: by middleware, by hooks, by a static `@Header()`. Take it when the interceptor starts; they
 * are set again for a request that is answered from the cache, so they are no part of what is stored.
 *
 * @param response what Nest hands out: the response of Express, the reply of Fastify.
 */
export function baselineOf(response: unknown): HeaderFields {
  const carrier = response as { getHeaders?: () => Record<string, Settable> };
  // Fastify's reply knows its own fields and those of the raw response.
  return headerFields(carrier.getHeaders?.() ?? rawResponseOf(response).getHeaders());
}

const NONE: HeaderFields = Object.freeze({});

/** Of the fields named, those that a response has so far. */
export function fieldsSet(response: unknown, named: HeaderFields): HeaderFields {
  const carrier = response as { getHeader(name: string): number | string | readonly string[] | undefined };
  let fields: Record<string, string | readonly string[]> | undefined;
  for (const name of Object.keys(named)) {
    const value = carrier.getHeader(name);
    if (value !== undefined) (fields ??= {})[name] = fieldValue(value);
  }
  return fields ?? NONE;
}

/** The captured fields without those that the baseline has with the same value. */
export function ownHeaders(
  captured: { readonly headers: HeaderFields },
  baseline: HeaderFields,
): Record<string, string | readonly string[]> {
  const own: Record<string, string | readonly string[]> = {};
  for (const name of Object.keys(captured.headers)) {
    const value = captured.headers[name]!;
    if (!Object.hasOwn(baseline, name) || !sameValue(value, baseline[name]!)) own[name] = value;
  }
  return own;
}

export function sameValue(left: string | readonly string[], right: string | readonly string[]): boolean {
  if (typeof left === 'string' || typeof right === 'string') return left === right;
  return left.length === right.length && left.every((line, index) => line === right[index]);
}

/** Frameworks and middleware may add to a list that they were given; lists are rare. */
export function lent(value: string | readonly string[]): string | readonly string[] {
  return typeof value === 'string' ? value : [...value];
}

/** A list of one line is that line: Fastify takes a listed Content-Type for none, and comparing and copying it costs more. */
function fieldValue(value: number | string | readonly string[]): string | readonly string[] {
  return Array.isArray(value) && value.length !== 1 ? value.map(String) : String(value as number | string);
}

/** A field with what comes behind it. */
export function withAppended(current: Line | undefined, rest: Line): Line {
  if (current === undefined) return rest;
  if (typeof current === 'string' && typeof rest === 'string') return `${current}, ${rest}`;
  return [current, rest].flat();
}
