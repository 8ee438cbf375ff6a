import { isAscii } from 'node:buffer';
/** An escape of one of the letters of `__proto__`; any other spelling of the key contains it literally. */
const ESCAPED_LETTER = /\\u00(?:5f|6f|7[024])/i;

/**
 * Parses UTF-8 JSON; own `__proto__` keys are dropped, however they are spelt. Text that has none is not walked.
 * @throws SyntaxError
 */
export function parseJson(bytes: Uint8Array): unknown {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Most JSON is ASCII, and that is quicker read as what it is.
  const text = isAscii(buffer) ? buffer.toString('latin1') : buffer.toString('utf8');
  const value: unknown = JSON.parse(text);
  return text.includes('__proto__') || (text.includes('\\u00') && ESCAPED_LETTER.test(text)) ? dropProto(value) : value;
}

/** With a list of its own instead of recursion: hostile text may be nested deeper than the stack. */
function dropProto(root: unknown): unknown {
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value)) Reflect.deleteProperty(value, '__proto__');
    for (const key of Object.keys(value)) pending.push((value as Record<string, unknown>)[key]);
  }
  return root;
}
