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

/** The fields that a proxy passes on, by lower-case name; a field that came in several lines keeps them. */
export function endToEnd(rawHeaders: readonly string[]): Record<string, string[]> {
  const fields: Record<string, string[]> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = String(rawHeaders[i]).toLowerCase();
    (fields[name] ??= []).push(String(rawHeaders[i + 1]));
  }
  const named = (fields.connection ?? []).flatMap((line) => line.split(',')).map((name) => name.trim().toLowerCase());
  for (const name of [...HOP_BY_HOP, ...named]) delete fields[name];
  return fields;
}
