import type { TapOutcome, UnusableReason } from './captured.js';
import { CapturedBytes, byteLength, bytesOf, type Chunk } from './captured-bytes.js';
import type { OutgoingHead } from './outgoing-head.js';

/** What is kept of a response while it is written: at its end the whole of it, or why there is nothing. */
export class Capture {
  readonly finished: Promise<TapOutcome>;
  private readonly bytes = new CapturedBytes();
  private settle!: (outcome: TapOutcome) => void;
  private outcome: TapOutcome | undefined;

  constructor(
    private readonly head: OutgoingHead,
    private readonly maxBytes: number,
  ) {
    this.finished = new Promise((resolve) => (this.settle = resolve));
  }

  /** As if nothing more were written. */
  get current(): TapOutcome {
    if (this.outcome) return this.outcome;
    const { status, headers } = this.head.settled!;
    return { status, headers, body: this.bytes.concat(), addedLate: this.head.late };
  }

  /** The bytes of a body that comes in one piece; `undefined` if they are not to be kept. */
  wholeOf(chunk: Chunk, encoding: BufferEncoding | undefined): Buffer | undefined {
    if (this.outcome) return undefined;
    try {
      return byteLength(chunk, encoding) > this.maxBytes ? undefined : bytesOf(chunk, encoding);
    } catch {
      return undefined;
    }
  }

  /** @param copy of the chunk, where there is one already */
  add(chunk: Chunk, encoding: BufferEncoding | undefined, copy?: Buffer): void {
    if (this.outcome || this.head.isAll) return;
    try {
      const fits = copy !== undefined || byteLength(chunk, encoding) <= this.maxBytes - this.bytes.length;
      if (fits) this.bytes.add(copy ?? bytesOf(chunk, encoding));
      else this.fail('too-large');
    } catch (error) {
      this.fail('failed', error); // an unknown encoding: Node throws for it
    }
  }

  /** Whether the bytes so far are all that the head has promised. */
  get isComplete(): boolean {
    const declared = this.head.settled?.headers['content-length'];
    return this.head.isAll || declared === undefined || Number(declared) === this.bytes.length;
  }

  /** Nothing happens after the end. */
  fail(reason: UnusableReason, error?: unknown, hasClientLeft?: boolean): void {
    if (this.outcome) return;
    this.bytes.drop();
    this.outcome = {
      reason,
      ...(this.head.settled && { status: this.head.status }),
      ...(error !== undefined && { error }),
      ...(hasClientLeft && { hasClientLeft }),
    };
    this.end();
  }

  end(): void {
    this.outcome = this.current;
    this.settle(this.outcome);
  }
}
