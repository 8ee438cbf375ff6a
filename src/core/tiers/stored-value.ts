import { deepFreeze } from '../codec/deep-freeze.js';
import type { ValueCodec } from '../codec/value.codec.js';
import { ownBytes } from '../own-bytes.js';
import type { ValueSource } from './found.js';

const NOTHING = new Uint8Array(0);

/**
 * A value as the cache owns it: encoded, never the caller's own object. Plain data is decoded once, frozen and shared; what freezing
 * cannot protect, and everything under `isolation: 'copy'`, is decoded anew for each reader.
 */
export class StoredValue implements ValueSource {
  private shared: unknown;
  private isDecoded = false;

  constructor(
    private readonly codec: ValueCodec,
    private payload: Uint8Array,
    private side: Uint8Array,
    readonly perReader: boolean,
  ) {}

  /** Decodes now, so that a later `take` cannot fail; what was decoded goes to the first reader. @throws TieredCacheError */
  check(): this {
    this.shared = this.perReader ? this.codec.decode(this.payload, this.side) : this.take();
    this.isDecoded = true;
    return this;
  }

  keep(): this {
    this.payload = ownBytes(this.payload);
    this.side = ownBytes(this.side);
    return this;
  }

  take(): unknown {
    if (this.perReader) {
      if (!this.isDecoded) return this.codec.decode(this.payload, this.side);
      const first = this.shared;
      this.shared = undefined;
      this.isDecoded = false;
      return first;
    }
    if (!this.isDecoded) {
      this.shared = decodeFrozen(this.codec, this.payload, this.side);
      this.isDecoded = true;
      // May be views of something much larger.
      this.payload = this.side = NOTHING;
    }
    return this.shared;
  }
}

/** The value that all readers share; its payload is what `bytes` hold from `from` on. @throws TieredCacheError */
export function decodeFrozen(codec: ValueCodec, bytes: Uint8Array, side: Uint8Array, from = 0): unknown {
  if (side.length === 0 && codec.decodeFrozen !== undefined) return codec.decodeFrozen(bytes, from);
  return deepFreeze(codec.decode(bytes.subarray(from), side));
}

/** A frozen value, as the memory tier holds it. */
export class SharedValue implements ValueSource {
  readonly perReader = false;

  constructor(private readonly value: unknown) {}

  take(): unknown {
    return this.value;
  }
}
