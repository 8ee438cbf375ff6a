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
 * | 24 | 8 | fresh until: stores read it, see {@link FRESH_UNTIL_OFFSET} |
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
/** So many an entry can carry. */
export const MAX_FRAME_TAGS = 255;
const FLAG_REBUILD = 1;
const FLAG_HELD_OVER = 2;

/** A label of an entry and the token it had when the entry's loader began. */
export interface FrameTag {
  readonly name: string;
  readonly token: string;
  /** As {@link encodeTags} writes it, where somebody has kept that. */
  readonly encoded?: Uint8Array;
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

/** A parsed frame; payload and side table are views, and nothing is decoded before it is asked for. */
export class Frame implements FrameFields {
  constructor(
    readonly bytes: Buffer,
    readonly key: string,
    private readonly tagsEnd: number,
    /** Where the payload begins. */
    readonly sideEnd: number,
  ) {}

  get createdAt(): number {
    return this.bytes.readDoubleBE(16);
  }

  get freshUntil(): number {
    return this.bytes.readDoubleBE(24);
  }

  get expiresAt(): number {
    return this.bytes.readDoubleBE(32);
  }

  get codecId(): number {
    return this.bytes[40] as number;
  }

  get rebuild(): boolean {
    return ((this.bytes[3] as number) & FLAG_REBUILD) !== 0;
  }

  get isHeldOver(): boolean {
    return ((this.bytes[3] as number) & FLAG_HELD_OVER) !== 0;
  }

  get side(): Uint8Array {
    return this.tagsEnd === this.sideEnd ? NO_SIDE : this.bytes.subarray(this.tagsEnd, this.sideEnd);
  }

  get payload(): Uint8Array {
    return this.bytes.subarray(this.sideEnd);
  }

  get tags(): FrameTag[] {
    const { bytes } = this;
    const tags: FrameTag[] = [];
    for (let at = HEADER + this.key.length; at < this.tagsEnd;) {
      const nameEnd = at + 2 + bytes.readUInt16BE(at);
      const tokenEnd = nameEnd + 1 + (bytes[nameEnd] as number);
      tags.push({
        name: bytes.toString('latin1', at + 2, nameEnd),
        token: bytes.toString('latin1', nameEnd + 1, tokenEnd),
      });
      at = tokenEnd;
    }
    return tags;
  }

  /** Whether the first of its tags has this name. */
  isFirstTag(name: string): boolean {
    const from = HEADER + this.key.length;
    if (from === this.tagsEnd || this.bytes.readUInt16BE(from) !== name.length) return false;
    return hasText(this.bytes, from + 2, name);
  }

  /** Whether its tags are exactly these, as {@link encodeTags} writes them. Decodes nothing. */
  isTagged(tags: Uint8Array): boolean {
    const from = HEADER + this.key.length;
    if (this.tagsEnd - from !== tags.length) return false;
    for (let i = 0; i < tags.length; i++) if (this.bytes[from + i] !== tags[i]) return false;
    return true;
  }

  /** The same entry with other lives, or with other tokens. */
  with(
    changes: Partial<Pick<FrameFields, 'freshUntil' | 'expiresAt' | 'tags'>> & Pick<FrameFields, 'isHeldOver'>,
  ): FrameFields {
    const { key, createdAt, freshUntil, expiresAt, codecId, rebuild, tags, side, payload } = this;
    return { key, createdAt, freshUntil, expiresAt, codecId, rebuild, tags, side, payload, ...changes };
  }
}

const NO_SIDE = new Uint8Array(0);
const ids = Buffer.alloc(4096);
let nextId = ids.length;

export function encodeFrame(fields: FrameFields): Buffer {
  const tagsAt = HEADER + fields.key.length;
  const sideAt = tagsAt + sizeOfTags(fields.tags);
  const bytes = Buffer.allocUnsafe(sideAt + fields.side.length + fields.payload.length);
  bytes[0] = MAGIC_0;
  bytes[1] = MAGIC_1;
  bytes[2] = WIRE_VERSION;
  bytes[3] = (fields.rebuild ? FLAG_REBUILD : 0) | (fields.isHeldOver ? FLAG_HELD_OVER : 0);
  if (nextId === ids.length) {
    randomFillSync(ids);
    nextId = 0;
  }
  for (let at = 8; at < 16; at++) bytes[at] = ids[nextId++] as number;
  bytes.writeDoubleBE(fields.createdAt, 16);
  bytes.writeDoubleBE(fields.freshUntil, 24);
  bytes.writeDoubleBE(fields.expiresAt, 32);
  bytes[40] = fields.codecId;
  // Throws if there are more than it can say.
  bytes.writeUInt8(fields.tags.length, 41);
  bytes.writeUInt16BE(fields.key.length, 42);
  bytes.writeUInt32BE(fields.side.length, 44);
  bytes.write(fields.key, HEADER, 'latin1');
  writeTags(bytes, tagsAt, fields.tags);
  if (fields.side.length > 0) bytes.set(fields.side, sideAt);
  bytes.set(fields.payload, sideAt + fields.side.length);
  bytes.writeUInt32BE(checksum(bytes), 4);
  return bytes;
}

/** The tags as they stand in a frame. */
export function encodeTags(tags: readonly FrameTag[]): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(sizeOfTags(tags));
  writeTags(bytes, 0, tags);
  return bytes;
}

function sizeOfTags(tags: readonly FrameTag[]): number {
  let size = 0;
  for (const { name, token } of tags) size += 3 + name.length + token.length;
  return size;
}

function writeTags(bytes: Buffer, from: number, tags: readonly FrameTag[]): void {
  let at = from;
  for (const tag of tags) {
    if (tag.encoded !== undefined) {
      bytes.set(tag.encoded, at);
      at += tag.encoded.length;
      continue;
    }
    at = bytes.writeUInt16BE(tag.name.length, at);
    at += bytes.write(tag.name, at, 'latin1');
    at = bytes.writeUInt8(tag.token.length, at);
    at += bytes.write(tag.token, at, 'latin1');
  }
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
  if (!hasText(bytes, HEADER, key)) return undefined;
  let at = HEADER + keyLength;
  for (let n = bytes[41] as number; n > 0; n--) {
    if (at + 2 > bytes.length) return undefined;
    const nameEnd = at + 2 + bytes.readUInt16BE(at);
    if (nameEnd + 1 > bytes.length) return undefined;
    at = nameEnd + 1 + (bytes[nameEnd] as number);
  }
  const sideEnd = at + bytes.readUInt32BE(44);
  return sideEnd > bytes.length ? undefined : new Frame(bytes, key, at, sideEnd);
}

function checksum(bytes: Buffer): number {
  // Twice as quick to make as a Buffer.
  return crc32(new Uint8Array(bytes.buffer, bytes.byteOffset + 8, bytes.length - 8), bytes[3]);
}

/** Quicker than making a string to compare with. */
function hasText(bytes: Buffer, from: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false;
  return true;
}
