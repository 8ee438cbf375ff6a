/** One field's value: a line, or its lines in the order received. */
export type FieldValue = string | readonly string[];

/**
 * Header fields by lower-case name. What Node's `IncomingMessage.headers`, Fastify's `request.headers` and undici's
 * `headers` are already; never mutated here.
 */
export type Fields = Readonly<Record<string, FieldValue | undefined>>;

/** The head of a request, without its body. `method` as sent: method names are case-sensitive (RFC 9110 9.1). */
export interface RequestHead {
  readonly method: string;
  readonly headers: Fields;
}

/** The head of a final or interim response. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: Fields;
}

const NO_LINES: readonly string[] = [];

/** The lines of a field; none where it is absent. Own properties only: a `Vary: constructor` must find nothing. */
export function fieldLines(headers: Fields, name: string): readonly string[] {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
  if (value === undefined) return NO_LINES;
  return typeof value === 'string' ? [value] : value;
}

/** A field's lines as one value (RFC 9110 5.3), or `undefined` where it is absent. */
export function fieldText(headers: Fields, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
  return value === undefined || typeof value === 'string' ? value : value.length > 0 ? value.join(', ') : undefined;
}

/** Whether there is a field of this name, be it empty. */
export function hasField(headers: Fields, name: string): boolean {
  return Object.hasOwn(headers, name) && headers[name] !== undefined;
}

/** A copy without the fields that `drop` names, and without `__proto__`, which would be no field of it. (A null prototype is ten times slower to copy.) */
export function withoutFields(headers: Fields, drop: (name: string) => boolean): Record<string, FieldValue> {
  const kept: Record<string, FieldValue> = {};
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value !== undefined && name !== '__proto__' && !drop(name)) kept[name] = value;
  }
  return kept;
}
