import type { Fields } from '../../http-semantics/fields/fields.js';

/**
 * Tells whether header fields are as the client has sent them: a cache in front sees no others, so that it cannot tell apart what middleware
 * makes of a cookie, say.
 * @param rawHeaders as Node lists them: a name, its value, and so on
 */
export function arrivedHeaders(headers: Fields, rawHeaders: readonly string[]): (name: string) => boolean {
  return (name) => {
    const lines = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
    const value = headers[name];
    if (value === undefined) return lines.length === 0;
    const text = typeof value === 'string' ? value : value.join(', ');
    // Of some fields Node takes the first line only.
    return lines.length > 0 && [lines.join(', '), lines.join('; '), lines[0]].includes(text);
  };
}
