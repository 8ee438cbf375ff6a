import type { Socket } from 'node:net';

/** How bytes travel; read anew for each chunk, so that a change applies at once to what arrives after it. */
export interface LaneConditions {
  /** Milliseconds that each byte is held back. */
  delayMs: number;
  /** `Infinity`: as fast as it goes. */
  bytesPerSecond: number;
  /** Bytes, and the end of the stream, are lost. */
  swallow: boolean;
}

interface Parcel {
  /** `undefined` stands for the end of the stream. */
  bytes: Buffer | undefined;
  due: number;
}

const SLICES_PER_SECOND = 50;

/** One direction of a proxied connection: keeps the order of the bytes under delay and throttling. */
export class FaultLane {
  /** Something was swallowed: the stream has a gap and may never be used again. */
  lossy = false;
  #queue: Parcel[] = [];
  #freeAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly conditions: LaneConditions,
  ) {
    from.on('data', (bytes: Buffer) => this.#accept(bytes));
    from.on('end', () => this.#accept(undefined));
    to.on('drain', () => from.resume());
    to.on('close', () => clearTimeout(this.#timer));
  }

  /** What is on its way gets lost. */
  drop(): void {
    if (this.#queue.length > 0) this.lossy = true;
    this.#queue = [];
    this.#freeAt = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #accept(bytes: Buffer | undefined): void {
    const { delayMs, bytesPerSecond, swallow } = this.conditions;
    if (swallow) {
      this.lossy = true;
      return;
    }
    if (bytesPerSecond === Infinity || bytes === undefined) return this.#enqueue(bytes, delayMs, 0);
    const slice = Math.max(1, Math.ceil(bytesPerSecond / SLICES_PER_SECOND));
    for (let at = 0; at < bytes.length; at += slice) {
      const part = bytes.subarray(at, at + slice);
      this.#enqueue(part, delayMs, (part.length / bytesPerSecond) * 1000);
    }
  }

  #enqueue(bytes: Buffer | undefined, delayMs: number, transferMs: number): void {
    const now = performance.now();
    const due = Math.max(this.#freeAt, now + delayMs) + transferMs;
    if (this.#queue.length === 0 && due <= now) return this.#deliver(bytes);
    this.#freeAt = due;
    this.#queue.push({ bytes, due });
    this.#timer ??= setTimeout(() => this.#flush(), due - now);
  }

  #flush(): void {
    this.#timer = undefined;
    const now = performance.now();
    // A timer may fire up to a millisecond early.
    while (this.#queue[0] && this.#queue[0].due <= now + 1) this.#deliver(this.#queue.shift()?.bytes);
    const next = this.#queue[0];
    if (next) this.#timer = setTimeout(() => this.#flush(), next.due - now);
  }

  #deliver(bytes: Buffer | undefined): void {
    if (this.to.destroyed || this.to.writableEnded) return;
    if (bytes === undefined) this.to.end();
    else if (!this.to.write(bytes)) this.from.pause();
  }
}
