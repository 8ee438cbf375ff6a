import { describe, expect, it } from 'vitest';
import { bytesCodec } from '../../src/core/codec/bytes.codec.js';
import { CacheUsageError } from '../../src/core/errors/cache.error.js';

describe('bytes codec', () => {
  it.each([Buffer.from([0, 255, 10]), new Uint8Array([1, 2, 3]), Buffer.alloc(0), Buffer.alloc(100_000, 7)])(
    'gives back a Buffer with the same bytes',
    (value) => {
      const { payload, side, rebuild } = bytesCodec.encode(value);
      const decoded = bytesCodec.decode(payload, side);
      expect([side.length, rebuild, Buffer.isBuffer(decoded)]).toEqual([0, true, true]);
      expect(Buffer.compare(decoded as Buffer, value)).toBe(0);
    },
  );

  it('takes a snapshot, and gives every reader its own memory', () => {
    const value = Buffer.from('abc');
    const { payload, side } = bytesCodec.encode(value);
    value.fill(0);
    const one = bytesCodec.decode(payload, side) as Buffer;
    expect([one.toString(), one.buffer.byteLength]).toEqual(['abc', 3]);
    one.fill(0);
    expect(String(bytesCodec.decode(payload, side))).toBe('abc');
  });

  it.each([
    ['a string', 'secret'],
    ['a number', 1],
    ['null', null],
    ['undefined', undefined],
    ['an object of type Array', [1]],
    ['an object of type Object', { type: 'Buffer', data: [1] }],
    ['an object of type ArrayBuffer', new ArrayBuffer(1)],
    ['an object of type Uint16Array', new Uint16Array(1)],
  ])('refuses %s by name', (name, value) => {
    const attempt = (): unknown => bytesCodec.encode(value);
    expect(attempt).toThrow(CacheUsageError);
    expect(attempt).toThrow(expect.objectContaining({ code: 'unsupported_value' }));
    expect(attempt).toThrow(`value is ${name}; `);
    expect(attempt).not.toThrow('secret');
  });

  it('refuses an entry with a side table', () => {
    expect(() => bytesCodec.decode(Buffer.from('a'), Buffer.from('[]'))).toThrow(
      expect.objectContaining({ code: 'malformed_value' }),
    );
  });
});
