import type { KeyPart } from '../cache.options.js';
import { encodeKey } from './key-encoding.js';
import { shorten } from './store-key.js';

/** An array key, encoded once for many calls. */
export class EncodedKey {
  readonly encoded: string;
  /** {@link shorten} of it. */
  readonly short: string;
  /** In the memory tier's index. One string for all calls, so that a look-up compares no characters. */
  readonly local: string;
  /** Where the memory tier found it last: a hint, so that a look-up need not hash. */
  slot = 0;

  /** @throws CacheUsageError `invalid_key` */
  constructor(readonly parts: readonly KeyPart[]) {
    this.encoded = encodeKey(parts);
    this.short = shorten(this.encoded);
    this.local = this.short === this.encoded ? this.short : `\0~${this.short}`;
  }
}
