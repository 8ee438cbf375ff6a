import type { ServerResponse } from 'node:http';
import { asPrivate, isTargeted } from '../../http-semantics/fields/private-cache-control.js';

type Field = number | string | readonly string[] | undefined;

/** Where fields of a response are, on their way out. */
interface FieldsOut {
  getHeaderNames(): string[];
  getHeader(name: string): Field;
  setHeader(name: string, value: string): unknown;
  removeHeader(name: string): unknown;
}

/** A response of Node's, as far as it is not documented. */
type Storing = ServerResponse & { _storeHeader?: (firstLine: string, fields: unknown) => unknown };

/**
 * Keeps a response from caches in front, whoever has said what to them: a page that is private, or one that goes with a cookie for this client.
 * That a page may be kept is our word; without it they would not keep the cookie.
 */
export function keepToClient(fields: FieldsOut, isPrivate: boolean): void {
  if (!isPrivate && fields.getHeader('set-cookie') === undefined) return;
  for (const name of fields.getHeaderNames()) if (isTargeted(name)) fields.removeHeader(name);
  const said = fields.getHeader('cache-control');
  if (said === undefined && !isPrivate) return;
  const control = asPrivate(said === undefined ? undefined : String(said));
  if (control !== said) fields.setHeader('cache-control', control);
}

/** As {@link keepToClient}, when all who stand between here and the wire have set their fields. */
export function keepToClientAtLast(response: ServerResponse, isPrivate: boolean): void {
  if (response.req?.httpVersionMajor === 2) return beforeWriteHead(response, isPrivate);
  const { _storeHeader: store } = response as Storing;
  if (store === undefined) return;
  (response as Storing)._storeHeader = function (firstLine, fields) {
    // Node takes those of `writeHead()` only where none were set before.
    keepToClient(response.getHeaderNames().length > 0 ? response : fieldsIn(fields), isPrivate);
    return Reflect.apply(store, this, [firstLine, fields]) as unknown;
  };
}

/** HTTP/2 has no later place. */
function beforeWriteHead(response: ServerResponse, isPrivate: boolean): void {
  const { writeHead } = response;
  response.writeHead = function (this: ServerResponse, ...args: unknown[]): ServerResponse {
    const fields = args.find((argument) => typeof argument === 'object' && argument !== null);
    keepToClient(response, isPrivate);
    if (fields !== undefined) keepToClient(fieldsIn(fields), isPrivate || response.hasHeader('set-cookie'));
    return Reflect.apply(writeHead, this, args) as ServerResponse;
  } as typeof writeHead;
}

/** Of an object of Fastify's: lower-case names. */
function fieldsIn(fields: unknown): FieldsOut {
  const of = (typeof fields === 'object' && fields !== null ? fields : {}) as Record<string, Field>;
  return {
    getHeaderNames: () => Object.keys(of),
    getHeader: (name) => of[name],
    setHeader: (name, value) => (of[name] = value),
    removeHeader: (name) => Reflect.deleteProperty(of, name),
  };
}
