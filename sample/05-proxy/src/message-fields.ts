/** Of one connection, not of the message (RFC 9110 7.6.1). A trailer section is not passed on, so its announcement is not either. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The fields that a proxy passes on, by lower-case name; one that came in several lines is a list of them. */
export function endToEnd(rawHeaders: readonly string[]): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = String(rawHeaders[i]).toLowerCase();
    const line = String(rawHeaders[i + 1]);
    fields[name] = Object.hasOwn(fields, name) ? [fields[name] as string | string[], line].flat() : line;
  }
  const named = [fields.connection ?? []].flat().flatMap((line) => line.split(','));
  for (const name of [...HOP_BY_HOP, ...named]) delete fields[name.trim().toLowerCase()];
  return fields;
}
