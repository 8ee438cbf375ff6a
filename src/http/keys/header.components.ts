import { CREDENTIAL_HEADERS } from '../policy/input-lists.js';
import type { RequestHeaders, RequestView } from '../policy/request-view.js';
import { Bypass } from './bypass.js';
import type { KeyComponent } from './key-component.js';
import { secretText, shortText } from './key-text.js';
import { preferredLanguage, preferredType } from './preferences.js';
import type { KeyPart } from '../../core/cache.options.js';

/** The values of request headers, byte for byte; absent and empty are two. Credentials enter the key as a hash. */
export function byHeaders(...names: string[]): KeyComponent {
  const lower = names.map((name) => name.toLowerCase());
  return {
    name: 'headers',
    covers: lower.map((name) => `header:${name}` as const),
    read: ({ headers }) => lower.map((name) => headerPart(headers, name)),
  };
}

/** Cookies by name, as hashes. The handler sees these and no others while it fills an entry. */
export function byCookies(...names: string[]): KeyComponent {
  return {
    name: 'cookies',
    covers: names.map((name) => `cookie:${name}` as const),
    cookies: names,
    read: (view) => names.map((name) => cookiePart(view, name)),
  };
}

/**
 * The language, as one of `supported`, the first of which is the default: few entries, whatever clients send. The handler sees the chosen
 * one as `Accept-Language` while it fills an entry.
 * @param from where the language comes from, if not from that header: `(view) => view.params.lang`. Other languages go past the cache.
 */
export function byLocale(supported: readonly string[], from?: (view: RequestView) => string | undefined): KeyComponent {
  if (from !== undefined) {
    return {
      name: 'locale',
      covers: [],
      isLearned: true,
      read(view) {
        const wanted = from(view) ?? supported[0];
        // Taken for the default, it would let one client choose what the others get under the default's key.
        return wanted !== undefined && supported.includes(wanted) ? wanted : new Bypass('representation');
      },
    };
  }
  const chosen = (view: RequestView): string => preferredLanguage(view.headers['accept-language'], supported);
  return {
    name: 'locale',
    covers: ['header:accept-language'],
    read: chosen,
    rewrites: (view) => ({ 'accept-language': chosen(view) }),
  };
}

/**
 * The representation, as one of `types`, the first of which is for clients that do not say. The handler sees the chosen one as `Accept`
 * while it fills an entry. A client that accepts none goes past the cache.
 */
export function byAccept(types: readonly string[]): KeyComponent {
  const chosen = (view: RequestView): string | undefined => preferredType(view.headers.accept, types);
  return {
    name: 'accept',
    covers: ['header:accept'],
    read: (view) => chosen(view) ?? new Bypass('representation'),
    rewrites: (view) => ({ accept: chosen(view) }),
  };
}

/** The client's address by the adapter's trust-proxy rules. */
export function byIp(): KeyComponent {
  return { name: 'ip', covers: ['ip'], read: (view) => view.ip };
}

function headerPart(headers: RequestHeaders, name: string): KeyPart {
  const value = headers[name];
  if (value === undefined) return null;
  const text = Array.isArray(value) ? value.join(', ') : value;
  return name === 'cookie' || CREDENTIAL_HEADERS.has(name) ? secretText(text) : shortText(text);
}

function cookiePart(view: RequestView, name: string): KeyPart {
  const values = view.cookie(name);
  return values.length === 0 ? null : secretText(JSON.stringify(values));
}
