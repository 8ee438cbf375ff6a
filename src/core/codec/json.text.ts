import { isAscii } from 'node:buffer';
import { dropProto } from './drop-proto.js';
import { freezeParsed } from './freeze-parsed.js';

/** Up to here a look whether the bytes are ASCII costs more than it saves. */
const SHORT = 2048;

/** An escape of one of the letters of `__proto__`; any other spelling of the key contains it literally. */
const ESCAPED_LETTER = /\\u00(?:5f|6f|7[024])/i;

/**
 * Parses UTF-8 JSON; own `__proto__` keys are dropped, however they are spelt. Text that has none is not walked.
 * @throws SyntaxError
 */
export function parseJson(bytes: Uint8Array): unknown {
  const text = textOf(bytes, 0);
  const value: unknown = JSON.parse(text);
  return text.includes('__proto__') || (text.includes('\\u00') && ESCAPED_LETTER.test(text)) ? dropProto(value) : value;
}

/** As {@link parseJson}, of what begins at `from`, deep-frozen: one walk does both. */
export function parseFrozen(bytes: Uint8Array, from: number): unknown {
  return freezeParsed(JSON.parse(textOf(bytes, from)));
}

function textOf(bytes: Uint8Array, from: number): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Most JSON is ASCII, and that is quicker read as what it is.
  const isLatin = buffer.length - from > SHORT && isAscii(buffer.subarray(from));
  return buffer.toString(isLatin ? 'latin1' : 'utf8', from);
}
