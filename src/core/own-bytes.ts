/**
 * For who keeps bytes for longer than the call that gave them: small buffers of Node, and what a socket has read, are views of something many times
 * their size, which would be kept with them. A copy then, else the same.
 */
export function ownBytes(bytes: Uint8Array): Buffer {
  const { buffer, byteOffset, byteLength } = bytes;
  if (buffer.byteLength <= 2 * byteLength)
    return Buffer.isBuffer(bytes) ? bytes : Buffer.from(buffer, byteOffset, byteLength);
  const copy = Buffer.allocUnsafeSlow(byteLength);
  copy.set(bytes);
  return copy;
}
