/** The bytes of a response while it is written; lets go of them when there are more than `maxBytes`. */
export class CapturedBytes {
  private chunks: Buffer[] = [];
  private dropped = false;
  length = 0;

  constructor(private readonly maxBytes: number) {}

  /** Takes bytes that nobody else writes to. `false`: too many, nothing is kept any more. */
  add(chunk: Buffer): boolean {
    this.length += chunk.length;
    if (this.dropped || this.length > this.maxBytes) {
      this.drop();
      return false;
    }
    if (chunk.length > 0) this.chunks.push(chunk);
    return true;
  }

  drop(): void {
    this.dropped = true;
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
