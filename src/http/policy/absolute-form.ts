const ABSOLUTE = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/i;

/** A request target in absolute form (RFC 9112 3.2.2), taken apart; `undefined` for another form. Nothing but its case is changed. */
export function absoluteForm(target: string): { origin: string; target: string } | undefined {
  const found = ABSOLUTE.exec(target);
  if (!found) return undefined;
  const [, scheme = '', authority = '', rest = ''] = found;
  return { origin: `${scheme}://${authority}`.toLowerCase(), target: rest.startsWith('/') ? rest : `/${rest}` };
}
