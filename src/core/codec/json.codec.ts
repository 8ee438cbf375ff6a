import { TieredCacheError } from '../errors/cache.error.js';
import { JsonProjection } from './json.projection.js';
import { revive } from './json.revival.js';
import { parseFrozen, parseJson } from './json.text.js';
import { isPlainJson } from './plain-json.js';
import type { ValueCodec } from './value.codec.js';

const NO_SIDE = new Uint8Array(0);

/**
 * JSON text, with a side table for what JSON cannot say: Date, BigInt, Map, Set, Buffer, typed arrays, undefined, NaN, ±Infinity, -0,
 * RegExp, URL and Error. A value without any of these costs one look and JSON.stringify, and JSON.parse on the way back.
 *
 * As with JSON, class instances become plain data (or what their `toJSON` returns) and an object met twice becomes two. Own `__proto__`
 * keys are dropped. Functions, symbols, promises, weak collections and cycles are refused.
 */
export const jsonCodec: ValueCodec = {
  id: 1,
  name: 'json',

  encode(value) {
    if (isPlainJson(value)) return { payload: toBytes(value), side: NO_SIDE, rebuild: false };
    const projection = new JsonProjection();
    const data = projection.project(value);
    const { side, rebuild } = projection;
    return { payload: toBytes(data), side: side === undefined ? NO_SIDE : toBytes(side), rebuild };
  },

  decode(payload, side) {
    try {
      const data = parseJson(payload);
      return side.length === 0 ? data : revive(data, parseJson(side));
    } catch {
      throw malformed();
    }
  },

  decodeFrozen(bytes, from) {
    try {
      return parseFrozen(bytes, from);
    } catch {
      throw malformed();
    }
  },
};

function toBytes(data: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(data), 'utf8');
}

/** The engine's own message quotes the text, i.e. the value. */
function malformed(): TieredCacheError {
  return new TieredCacheError('malformed_value', 'the stored bytes are not a value that the json codec wrote');
}
