import { types } from 'node:util';

const KINDS = {
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
} as const;

const CONSTRUCTORS = new Map<string, new (buffer: ArrayBuffer) => ArrayBufferView>(Object.entries(KINDS));

/** The kind and the bytes (as base64) of a binary value; `undefined` for anything else. Views lose what lies outside of them. */
export function readBinary(value: object): [kind: string, base64: string] | undefined {
  if (types.isArrayBuffer(value)) return ['ArrayBuffer', Buffer.from(value).toString('base64')];
  if (!ArrayBuffer.isView(value)) return undefined;
  const kind = Buffer.isBuffer(value) ? 'Buffer' : types.isUint8Array(value) ? 'Uint8Array' : kindOf(value);
  if (kind === undefined) return undefined;
  return [kind, Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')];
}

/**
 * The inverse of {@link readBinary}. The memory is the value's own, never a slice of Node's shared pool, and as long as the text says.
 * @throws on an unknown kind and on a length that the kind does not allow
 */
export function createBinary(kind: string, base64: string): ArrayBufferView | ArrayBuffer {
  const decoded = Buffer.from(base64, 'base64');
  const memory = new ArrayBuffer(decoded.length);
  const bytes = new Uint8Array(memory);
  bytes.set(decoded);
  if (kind === 'Buffer') return Buffer.from(memory);
  if (kind === 'Uint8Array') return bytes;
  if (kind === 'ArrayBuffer') return memory;
  const Kind = CONSTRUCTORS.get(kind);
  if (!Kind) throw new TypeError('unknown kind of binary value');
  return new Kind(memory);
}

function kindOf(view: ArrayBufferView): string | undefined {
  const kind = types.isTypedArray(view) ? view[Symbol.toStringTag] : 'DataView';
  return CONSTRUCTORS.has(kind) ? kind : undefined;
}
