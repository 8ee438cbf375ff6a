import type { KeyPart } from '../../core/cache.options.js';
import type { RequestView } from '../policy/request-view.js';
import { shortText } from './key-text.js';

/** The host, and what the request itself calls it where proxies, or the framework, make another one of that: a handler may read both. */
export function hostPart(view: RequestView): KeyPart {
  const named = otherNames(view);
  return named === '' ? shortText(view.host) : [shortText(view.host), shortText(named)];
}

/** As {@link hostPart}, more cheaply: with its length in front. */
export function hostText(view: RequestView): string {
  const { host } = view;
  const named = otherNames(view);
  return named === '' ? `${host.length}:${host}` : `${host.length}:${host}>${named.length}:${named}`;
}

function otherNames({ kind, host, headers }: RequestView): string {
  if (kind !== 'http') return '';
  const { host: named, ':authority': authority } = headers;
  if ((named === undefined || named === host) && (authority === undefined || authority === host)) return '';
  return JSON.stringify([named ?? null, authority ?? null]);
}
