import { TieredCacheError } from '../core/errors/cache.error.js';
import type { EncodedValue, ValueCodec } from '../core/codec/value.codec.js';
import type { Held, Page } from './page.js';

const NO_BYTES = new Uint8Array(0);

/**
 * Pages as bytes: length of the head (4, big-endian), head as JSON, body as it is. What is decoded is shared by all readers and never leaves
 * this room, so it is not frozen: a page's body is a Buffer, which cannot be.
 */
export const pageCodec: ValueCodec = {
  id: 3,
  name: 'page',

  encode(value): EncodedValue {
    const { body = NO_BYTES, ...head } = value as Held & { body?: Buffer };
    const text = Buffer.from(JSON.stringify(head));
    const payload = Buffer.allocUnsafeSlow(4 + text.length + body.length);
    payload.writeUInt32BE(text.length, 0);
    payload.set(text, 4);
    payload.set(body, 4 + text.length);
    return { payload, side: NO_BYTES, rebuild: false };
  },

  decode: (payload) => decode(payload),
  decodeFrozen: (bytes, from) => decode(bytes.subarray(from)),
};

function decode(payload: Uint8Array): Held {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  try {
    const end = 4 + bytes.readUInt32BE(0);
    if (end > bytes.length) throw new RangeError('short');
    const head = JSON.parse(bytes.toString('utf8', 4, end)) as Held;
    if (head.kind !== 'page') return head;
    // A copy: the bytes may be a view of much more, and the memory tier keeps what is made here.
    return { ...head, body: Buffer.from(bytes.subarray(end)) } satisfies Page;
  } catch {
    throw new TieredCacheError('malformed_value', 'the stored bytes were not written by the page codec');
  }
}
