/** The raw `name=value` pairs of a Cookie header (RFC 6265 4.2.1), blanks around them removed. */
export function cookiePairs(header: string | undefined): Array<readonly [name: string, value: string]> {
  if (!header) return [];
  return header.split(';').map((pair) => {
    const at = pair.indexOf('=');
    return at === -1 ? ([pair.trim(), ''] as const) : ([pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const);
  });
}

/** A Cookie header with these cookies only, in their order; `undefined` if none is left. */
export function onlyCookies(header: string | undefined, isKept: (name: string) => boolean): string | undefined {
  const kept = cookiePairs(header).filter(([name]) => isKept(name));
  return kept.length === 0 ? undefined : kept.map(([name, value]) => `${name}=${value}`).join('; ');
}
