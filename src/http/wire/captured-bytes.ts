/** The bytes of a response while it is written. */
export class CapturedBytes {
  private chunks: Buffer[] = [];
  length = 0;

  /** Takes bytes that nobody else writes to. */
  add(chunk: Buffer): void {
    this.length += chunk.length;
    this.chunks.push(chunk);
  }

  drop(): void {
    this.chunks = [];
  }

  concat(): Buffer {
    return this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks);
  }
}

export type Chunk = string | Uint8Array;

export function isChunk(value: unknown): value is Chunk {
  return typeof value === 'string' || value instanceof Uint8Array;
}

export function byteLength(chunk: Chunk, encoding: BufferEncoding | undefined): number {
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.byteLength;
}

/** A copy: who wrote the chunk may write to it again. */
export function bytesOf(chunk: Chunk, encoding: BufferEncoding | undefined): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk);
}
