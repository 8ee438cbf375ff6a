import type { KeyPart } from '../cache.options.js';
import { encodeKey } from './key-encoding.js';
import { shorten } from './store-key.js';

/** An array key, encoded once for many calls. */
export class EncodedKey {
  readonly encoded: string;
  /** In the memory tier's index. One string for all calls, so that a look-up compares no characters. */
  readonly local: string;

  /** @throws CacheUsageError `invalid_key` */
  constructor(readonly parts: readonly KeyPart[]) {
    this.encoded = encodeKey(parts);
    const short = shorten(this.encoded);
    this.local = short === this.encoded ? short : `\0~${short}`;
  }
}
