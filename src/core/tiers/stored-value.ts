import { deepFreeze } from '../codec/deep-freeze.js';
import type { ValueCodec } from '../codec/value.codec.js';
import type { ValueSource } from './found.js';

/**
 * A value as the cache owns it: encoded, never the caller's own object. Plain data is decoded once, frozen and shared; what freezing
 * cannot protect, and everything under `isolation: 'copy'`, is decoded anew for each reader.
 */
export class StoredValue implements ValueSource {
  private shared: unknown;
  private isDecoded = false;

  constructor(
    private readonly codec: ValueCodec,
    private readonly payload: Uint8Array,
    private readonly side: Uint8Array,
    readonly perReader: boolean,
  ) {}

  take(): unknown {
    if (this.perReader) return this.codec.decode(this.payload, this.side);
    if (!this.isDecoded) {
      this.shared = deepFreeze(this.codec.decode(this.payload, this.side));
      this.isDecoded = true;
    }
    return this.shared;
  }
}
