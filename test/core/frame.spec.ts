import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { jsonCodec } from '../../src/core/codec/json.codec.js';
import type { FrameFields } from '../../src/core/envelope/frame.js';
import { encodeFrame, MAX_FRAME_TAGS, parseFrame } from '../../src/core/envelope/frame.js';
import { freshUntilOf } from '../../src/stores/contract/cache-store.js';

const GOLDEN = new URL('./golden/', import.meta.url);
const KEY = 'abcdef0123:books:{/book/#42}';
const VALUE = { title: 'Été', tags: new Set(['a']), at: new Date(0), n: -0, missing: undefined };

function fields(): FrameFields {
  const { payload, side, rebuild } = jsonCodec.encode(VALUE);
  return {
    key: KEY,
    createdAt: 1000.5,
    freshUntil: 2000,
    expiresAt: Infinity,
    codecId: jsonCodec.id,
    rebuild,
    isHeldOver: false,
    tags: [
      { name: 'ns:books', token: 'aaaabbbbccccdddd' },
      { name: 'tag:book:42', token: 'x' },
    ],
    side,
    payload,
  };
}

describe('frames', () => {
  it('come back as they went in, with the payload untouched', () => {
    const sent = fields();
    const frame = parseFrame(encodeFrame(sent), KEY);
    expect(frame).toMatchObject({ ...sent, side: expect.anything(), payload: expect.anything() });
    expect(jsonCodec.decode(frame!.payload, frame!.side)).toEqual(VALUE);
  });

  it('tell a store until when they are fresh, wherever their bytes lie', () => {
    const bytes = Buffer.concat([Buffer.from('in front'), encodeFrame(fields())]).subarray(8);
    expect(freshUntilOf(bytes)).toBe(2000);
    expect(freshUntilOf(bytes.subarray(0, 31))).toBe(Infinity);
  });

  it('reads the golden file of every released wire version', () => {
    const files = readdirSync(GOLDEN).filter((file) => file.endsWith('.bin'));
    expect(files).toContain('v1.bin');
    for (const file of files) {
      const frame = parseFrame(readFileSync(new URL(file, GOLDEN)), KEY);
      expect(frame).toMatchObject({
        key: KEY,
        createdAt: 1000.5,
        freshUntil: 2000,
        expiresAt: Infinity,
        tags: fields().tags,
      });
      expect(jsonCodec.decode(frame!.payload, frame!.side)).toEqual(VALUE);
    }
  });

  it('are not made of more tags than they can say', () => {
    const tags = Array.from({ length: MAX_FRAME_TAGS + 1 }, (_, i) => ({ name: `tag:${i}`, token: 'x' }));
    expect(parseFrame(encodeFrame({ ...fields(), tags: tags.slice(1) }), KEY)?.tags).toHaveLength(MAX_FRAME_TAGS);
    expect(() => encodeFrame({ ...fields(), tags })).toThrow(RangeError);
  });

  it('are told apart by their first 16 bytes, even with the same content', () => {
    const beginnings = new Set(
      Array.from({ length: 1000 }, () => encodeFrame(fields()).subarray(0, 16).toString('hex')),
    );
    expect(beginnings.size).toBe(1000);
  });

  it('of another key, cut short or foreign are a miss', () => {
    const bytes = encodeFrame(fields());
    expect(parseFrame(bytes, KEY.replace('42', '43'))).toBeUndefined();
    for (let length = 0; length < bytes.length; length++)
      expect(parseFrame(bytes.subarray(0, length), KEY)).toBeUndefined();
    for (const foreign of ['', '{"value":1}', 'TC', 'x'.repeat(500)])
      expect(parseFrame(Buffer.from(foreign), KEY)).toBeUndefined();
  });

  it(
    '1,000,000 mutated ones are a miss or exactly what was stored; nothing throws, no prototype changes',
    { timeout: 120_000 },
    () => {
      const bytes = encodeFrame(fields());
      const prototype = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));
      let accepted = 0;
      let seed = 42;
      const random = (below: number): number => ((seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 8) % below;
      const mutated = Buffer.from(bytes);
      for (let i = 0; i < 1_000_000; i++) {
        const changes = 1 + random(4);
        const at: number[] = [];
        for (let n = 0; n < changes; n++) {
          const place = random(bytes.length);
          at.push(place);
          mutated[place] = random(256);
        }
        const frame = parseFrame(i % 7 === 0 ? mutated.subarray(0, random(bytes.length + 1)) : mutated, KEY);
        if (frame !== undefined) {
          accepted++;
          expect(frame.rebuild).toBe(true);
          expect(jsonCodec.decode(frame.payload, frame.side)).toEqual(VALUE);
        }
        for (const place of at) mutated[place] = bytes[place] as number;
      }
      expect(accepted).toBeLessThan(10_000);
      expect(JSON.stringify(Object.getOwnPropertyNames(Object.prototype))).toBe(prototype);
    },
  );
});
