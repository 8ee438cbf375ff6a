import { nameList } from './field-list.js';
import { fieldLines, type Fields } from './fields.js';

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Tells the fields that concern one connection: the known ones and all that `Connection` names (RFC 9110 7.6.1, RFC 9111 3.1). */
export function hopByHop(headers: Fields): (name: string) => boolean {
  const lines = fieldLines(headers, 'connection');
  if (lines.length === 0) return isHopByHop;
  const named = new Set(nameList(lines));
  return (name) => HOP_BY_HOP.has(name) || named.has(name);
}

function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name);
}
