import type { IncomingHttpHeaders } from 'node:http';

const PARAMETER = /;\s*([^\s=;]+)=("(?:[^"\\]|\\.)*"|[^\s;]*)/g;

/**
 * What the head of a request tells of a body that nobody has parsed before the guards (an upload, a text): its length, its type and, if the
 * client sends one, its digest. `''` where there is no body.
 */
export function unreadBodyOf(headers: Readonly<IncomingHttpHeaders>): string {
  const { 'content-length': length = '0', 'content-digest': digest = '', 'content-type': type = '' } = headers;
  if (length === '0' && headers['transfer-encoding'] === undefined) return '';
  return JSON.stringify([length, digest, mediaTypeOf(type)]);
}

/** Without the boundary, which a client draws anew whenever it sends a form. */
function mediaTypeOf(field: string): string {
  const text = field.toLowerCase();
  const parameters = [...text.matchAll(PARAMETER)]
    .filter(([, name]) => name !== 'boundary')
    .map(([, name, value = '']) => `${name}=${value.replace(/^"|"$/g, '')}`);
  return [text.split(';', 1)[0]?.trim(), ...parameters.sort()].join(';');
}
