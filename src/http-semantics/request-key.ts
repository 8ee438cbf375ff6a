/** What names a stored response before `Vary` does. */
export interface KeyParts {
  /** Version of the code and schema that reads the entry. */
  readonly stamp: string;
  readonly scheme: string;
  /** As resolved by the framework under its trust settings; never a raw `X-Forwarded-Host`. */
  readonly authority: string;
  /** As routed, byte for byte: no case folding, no decoding, no collapsing of slashes. */
  readonly path: string;
  /** Raw, without `?`; see {@link canonicalQuery}. */
  readonly query: string;
  /** `Controller.method`: a custom key cannot make two handlers meet. */
  readonly handler?: string;
  /** Whose response it is, where the view is private. */
  readonly principal?: string;
}

/**
 * The primary key: injective, every part length-prefixed, so that no input can imitate a delimiter. HEAD looks up what GET stored, and nothing else
 * does: there is no method in it because only GET is stored.
 */
export function primaryKey(parts: KeyParts): string {
  const { stamp, scheme, authority, path, query, handler, principal } = parts;
  return [stamp, scheme.toLowerCase(), authority.toLowerCase(), path, query, handler, principal]
    .map((part) => (part === undefined ? '-' : `${part.length}:${part}`))
    .join('');
}

/** Which parameters count. `allow` and `ignore` must be applied to what the handler sees as well, or it could be poisoned by the rest. */
export interface QueryRules {
  readonly allow?: readonly string[];
  readonly ignore?: readonly string[];
  /** Stable sort by name; the values of one name keep their order. Default false: order counts. */
  readonly isSorted?: boolean;
}

/** The part of a raw query that counts, its parameters as they were spelled. `&` alone separates (CVE-2021-23336). */
export function canonicalQuery(query: string, rules: QueryRules): string {
  const parameters = query
    .split('&')
    .map((text) => ({ text, name: parameterName(text) }))
    .filter(({ text, name }) => (rules.allow ? text !== '' && rules.allow.includes(name) : true))
    .filter(({ name }) => !rules.ignore?.includes(name));
  if (rules.isSorted) parameters.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return parameters.map(({ text }) => text).join('&');
}

function parameterName(text: string): string {
  const end = text.indexOf('=');
  const raw = (end < 0 ? text : text.slice(0, end)).replaceAll('+', ' ');
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}
