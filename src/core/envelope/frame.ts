import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * Wire version 1, all numbers big-endian. Released layouts never change; a new one gets a new version and a golden file.
 *
 * | offset | bytes | field |
 * |---|---|---|
 * | 0 | 2 | magic `TC` |
 * | 2 | 1 | wire version |
 * | 3 | 1 | flags: 1 = the value must be rebuilt per reader, 2 = held over: its refresh has failed, not to be tried again while fresh |
 * | 4 | 4 | CRC-32 of everything from offset 8, started from the flags |
 * | 8 | 8 | random id: with the bytes before it, what tells two versions of an entry apart |
 * | 16 | 8 | created, ms of the store's time (float64) |
 * | 24 | 8 | fresh until |
 * | 32 | 8 | expires (Infinity = never) |
 * | 40 | 1 | codec id |
 * | 41 | 1 | number of tags |
 * | 42 | 2 | length of the key |
 * | 44 | 4 | length of the side table |
 * | 48 | | key; per tag: length (2), name, length (1), token; side table; payload |
 */
const MAGIC_0 = 0x54;
const MAGIC_1 = 0x43;
export const WIRE_VERSION = 1;
const HEADER = 48;
const FLAG_REBUILD = 1;
const FLAG_HELD_OVER = 2;

/** A label of an entry and the token it had when the entry's loader began. */
export interface FrameTag {
  readonly name: string;
  readonly token: string;
}

export interface FrameFields {
  readonly key: string;
  readonly createdAt: number;
  readonly freshUntil: number;
  readonly expiresAt: number;
  readonly codecId: number;
  readonly rebuild: boolean;
  readonly isHeldOver: boolean;
  readonly tags: readonly FrameTag[];
  readonly side: Uint8Array;
  readonly payload: Uint8Array;
}

/** A parsed frame; payload and side table are views, nothing is decoded yet. */
export interface Frame extends FrameFields {
  readonly bytes: Buffer;
}

const NO_SIDE = new Uint8Array(0);
const ids = Buffer.alloc(4096);
let nextId = ids.length;

export function encodeFrame(fields: FrameFields): Buffer {
  let size = HEADER + fields.key.length + fields.side.length + fields.payload.length;
  for (const tag of fields.tags) size += 3 + tag.name.length + tag.token.length;
  const bytes = Buffer.allocUnsafe(size);
  bytes[0] = MAGIC_0;
  bytes[1] = MAGIC_1;
  bytes[2] = WIRE_VERSION;
  bytes[3] = (fields.rebuild ? FLAG_REBUILD : 0) | (fields.isHeldOver ? FLAG_HELD_OVER : 0);
  if (nextId === ids.length) {
    randomFillSync(ids);
    nextId = 0;
  }
  ids.copy(bytes, 8, nextId, (nextId += 8));
  bytes.writeDoubleBE(fields.createdAt, 16);
  bytes.writeDoubleBE(fields.freshUntil, 24);
  bytes.writeDoubleBE(fields.expiresAt, 32);
  bytes[40] = fields.codecId;
  bytes[41] = fields.tags.length;
  bytes.writeUInt16BE(fields.key.length, 42);
  bytes.writeUInt32BE(fields.side.length, 44);
  let at = HEADER + bytes.write(fields.key, HEADER, 'latin1');
  for (const tag of fields.tags) {
    at = bytes.writeUInt16BE(tag.name.length, at);
    at += bytes.write(tag.name, at, 'latin1');
    at = bytes.writeUInt8(tag.token.length, at);
    at += bytes.write(tag.token, at, 'latin1');
  }
  bytes.set(fields.side, at);
  bytes.set(fields.payload, at + fields.side.length);
  bytes.writeUInt32BE(checksum(bytes), 4);
  return bytes;
}

/**
 * Reads a frame without touching its payload. `undefined` for anything that is not a sound frame of `key`: another version, a bad
 * checksum, another key, truncated or foreign bytes. Never throws.
 */
export function parseFrame(data: Uint8Array, key: string): Frame | undefined {
  if (data.length < HEADER) return undefined;
  const bytes = Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes[0] !== MAGIC_0 || bytes[1] !== MAGIC_1 || bytes[2] !== WIRE_VERSION) return undefined;
  const keyLength = bytes.readUInt16BE(42);
  if (keyLength !== key.length || HEADER + keyLength > bytes.length) return undefined;
  if (bytes.readUInt32BE(4) !== checksum(bytes)) return undefined;
  if (bytes.toString('latin1', HEADER, HEADER + keyLength) !== key) return undefined;
  const tags: FrameTag[] = [];
  let at = HEADER + keyLength;
  for (let n = bytes[41] as number; n > 0; n--) {
    if (at + 2 > bytes.length) return undefined;
    const nameEnd = at + 2 + bytes.readUInt16BE(at);
    if (nameEnd + 1 > bytes.length) return undefined;
    const tokenEnd = nameEnd + 1 + bytes.readUInt8(nameEnd);
    if (tokenEnd > bytes.length) return undefined;
    tags.push({
      name: bytes.toString('latin1', at + 2, nameEnd),
      token: bytes.toString('latin1', nameEnd + 1, tokenEnd),
    });
    at = tokenEnd;
  }
  const sideEnd = at + bytes.readUInt32BE(44);
  if (sideEnd > bytes.length) return undefined;
  return {
    bytes,
    key,
    createdAt: bytes.readDoubleBE(16),
    freshUntil: bytes.readDoubleBE(24),
    expiresAt: bytes.readDoubleBE(32),
    codecId: bytes[40] as number,
    rebuild: ((bytes[3] as number) & FLAG_REBUILD) !== 0,
    isHeldOver: ((bytes[3] as number) & FLAG_HELD_OVER) !== 0,
    tags,
    side: at === sideEnd ? NO_SIDE : bytes.subarray(at, sideEnd),
    payload: bytes.subarray(sideEnd),
  };
}

function checksum(bytes: Buffer): number {
  return crc32(bytes.subarray(8), bytes[3]);
}
