import { types } from 'node:util';
import { CacheUsageError, TieredCacheError } from '../errors/cache.error.js';
import type { ValueCodec } from './value.codec.js';

const NO_SIDE = new Uint8Array(0);

/** Bytes as they are. Takes a Uint8Array or Buffer, gives a Buffer that belongs to its reader alone. */
export const bytesCodec: ValueCodec = {
  id: 2,
  name: 'bytes',

  encode(value) {
    if (types.isUint8Array(value)) return { payload: new Uint8Array(value), side: NO_SIDE, rebuild: true };
    throw new CacheUsageError(
      'unsupported_value',
      `value is ${describe(value)}; the bytes codec takes a Uint8Array or Buffer only. Convert it, or use the json codec.`,
    );
  },

  decode(payload, side) {
    if (side.length > 0)
      throw new TieredCacheError('malformed_value', 'the stored bytes were not written by the bytes codec');
    // Not Buffer.from(): its memory pool would be within reach through `.buffer`.
    const copy = Buffer.allocUnsafeSlow(payload.length);
    copy.set(payload);
    return copy;
  },
};

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  return `an object of type ${Object.prototype.toString.call(value).slice(8, -1)}`;
}
