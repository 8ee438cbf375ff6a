const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/i;

/** Whether a header can have this name (RFC 9110 5.1). */
export function isFieldName(name: string): boolean {
  return TOKEN.test(name);
}
