import { validateHeaderName, validateHeaderValue } from 'node:http';

type FieldValue = number | string | readonly string[];

/** The arguments of a `writeHead()`: all its overloads. */
export interface WrittenHead {
  readonly status: number;
  readonly reason: string | undefined;
  readonly fields: ReadonlyArray<readonly [string, FieldValue]>;
  /** The fields came as a list, in which a name may be there several times. */
  readonly listed: boolean;
  readonly args: readonly unknown[];
}

/** `undefined`: Node will throw for them. */
export function parseWriteHead(args: readonly unknown[]): WrittenHead | undefined {
  const [code, second, third] = args;
  const status = Number(code) | 0;
  if (status < 100 || status > 999) return undefined;
  const reason = typeof second === 'string' ? second : undefined;
  try {
    // The same characters are allowed in a reason (RFC 9112 4).
    if (reason !== undefined) validateHeaderValue('reason', reason);
    const headers = copyOf(reason === undefined ? (third ?? second) : third);
    const fields = fieldsOf(headers);
    for (const [name, value] of fields) {
      validateHeaderName(name);
      for (const line of Array.isArray(value) ? value : [value]) validateHeaderValue(name, line as string);
    }
    return { status, reason, fields, listed: Array.isArray(headers), args: argsOf(code, reason, headers) };
  } catch {
    return undefined;
  }
}

/** It is sent later than it was written: what is done to it in between must not show. */
function copyOf(headers: unknown): unknown {
  const copied = (value: unknown): unknown => (Array.isArray(value) ? [...(value as unknown[])] : value);
  if (Array.isArray(headers))
    return headers.map((item) => (Array.isArray(item) ? item.map(copied) : (item as unknown)));
  if (typeof headers !== 'object' || headers === null) return headers;
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, copied(value)]));
}

function argsOf(...args: readonly unknown[]): unknown[] {
  return args.filter((arg) => arg !== undefined);
}

function fieldsOf(headers: unknown): Array<[string, FieldValue]> {
  if (headers === undefined || headers === null) return [];
  if (!Array.isArray(headers)) return Object.entries(headers as Record<string, FieldValue>);
  const pairs: Array<[string, FieldValue]> = Array.isArray(headers[0])
    ? (headers as Array<[string, FieldValue]>)
    : headers.flatMap((_, at) => (at % 2 === 0 ? [[headers[at] as string, headers[at + 1] as FieldValue]] : []));
  return joined(pairs);
}

/** Lists may name a field several times: several lines of it. */
function joined(pairs: ReadonlyArray<readonly [string, FieldValue]>): Array<[string, FieldValue]> {
  const byName = new Map<string, [string, FieldValue]>();
  for (const [name, value] of pairs) {
    const earlier = byName.get(name.toLowerCase());
    if (earlier) earlier[1] = [...[earlier[1]].flat(), ...[value].flat()].map(String);
    else byName.set(name.toLowerCase(), [name, value]);
  }
  return [...byName.values()];
}
