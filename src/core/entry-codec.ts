import type { Frame, FrameTag } from './envelope/frame.js';
import { encodeFrame, parseFrame } from './envelope/frame.js';
import type { StoreClock } from './clock/store-clock.js';
import type { Clock } from './clock/clock.js';
import type { Lives } from './freshness/lives.js';
import type { EncodedValue } from './codec/value.codec.js';
import type { Address } from './keys/address.js';
import type { Namespace } from './namespace.js';
import type { Found, Tier, ValueSource } from './tiers/found.js';
import { RecentVersions } from './tiers/recent-versions.js';
import { decodeFrozen, SharedValue, StoredValue } from './tiers/stored-value.js';
import type { Epoch, Fence } from './tokens/epoch.js';
import { epochsOf, makeFence } from './tokens/epoch.js';

/** Turns values into frames and frames into values with a life on this process's clock. */
export class EntryCodec {
  private readonly recent = new RecentVersions();

  constructor(
    private readonly clock: Clock,
    private readonly storeClock: StoreClock,
  ) {}

  /** @throws CacheUsageError `unsupported_value`, naming the path */
  encode(namespace: Namespace, value: unknown): EncodedValue {
    return namespace.codec.encode(value);
  }

  frame(namespace: Namespace, address: Address, encoded: EncodedValue, epochs: readonly Epoch[], lives: Lives): Buffer {
    const now = this.storeClock.now();
    return encodeFrame({
      key: address.store,
      createdAt: now,
      freshUntil: now + lives.freshForMs,
      expiresAt: now + lives.ttlMs,
      codecId: namespace.codec.id,
      rebuild: encoded.rebuild,
      isHeldOver: false,
      tags: frameTags(epochs),
      side: encoded.side,
      payload: encoded.payload,
    });
  }

  /** A sound frame of this key and codec that was alive at `readAt` (of the store's time); nothing is decoded. */
  parse(
    namespace: Namespace,
    address: Pick<Address, 'store'>,
    bytes: Uint8Array,
    readAt = this.storeClock.now(),
  ): Frame | undefined {
    const frame = parseFrame(bytes, address.store);
    if (frame === undefined || frame.codecId !== namespace.codec.id || !frame.isFirstTag(namespace.token)) {
      namespace.counters.rejected++;
      return undefined;
    }
    return frame.expiresAt > readAt ? frame : undefined;
  }

  /** What such bytes came to before; `undefined` if they are to be parsed, judged and decoded. */
  recall(
    namespace: Namespace,
    { store }: Address,
    bytes: Uint8Array,
    fence: Fence,
    readAt = this.storeClock.now(),
  ): Found | undefined {
    const version = this.recent.find(bytes);
    if (version === undefined || version.namespace !== namespace || version.storeKey !== store) return undefined;
    const { found, size, expiresAt, offset } = version;
    const isSame = found.fence === fence && size === bytes.length && offset === this.storeClock.offsetNow;
    return isSame && expiresAt > readAt ? found : undefined;
  }

  /** The frame's value for this process, with its remaining life. `undefined` when the payload does not decode. */
  found(namespace: Namespace, frame: Frame, fence: Fence, tier: Tier): Found | undefined {
    let value: ValueSource;
    try {
      // Now, so that a later `take` cannot fail.
      if (frame.rebuild || namespace.isolation === 'copy') {
        value = new StoredValue(namespace.codec, frame.payload, frame.side, true).check();
      } else {
        value = new SharedValue(this.recent.value(frame.bytes) ?? this.decode(namespace, frame));
      }
    } catch {
      namespace.counters.rejected++;
      return undefined;
    }
    return {
      value,
      tier,
      createdAt: this.storeClock.toLocal(frame.createdAt),
      freshUntil: this.storeClock.toLocal(frame.freshUntil),
      expiresAt: this.storeClock.toLocal(frame.expiresAt),
      fence,
      isHeldOver: frame.isHeldOver,
      isGraced: false,
      bytes: frame.bytes.length,
    };
  }

  /** For {@link recall}: what a frame came to that carries the token of its namespace, as it is now, and no other. */
  remember(namespace: Namespace, frame: Frame, found: Found): void {
    const { bytes, key: storeKey, expiresAt } = frame;
    if (found.value.perReader || !this.recent.isKept(bytes)) return;
    const offset = this.storeClock.offsetNow;
    this.recent.keep(bytes, { namespace, storeKey, size: bytes.length, expiresAt, found, offset });
  }

  private decode(namespace: Namespace, frame: Frame): unknown {
    const value = decodeFrozen(namespace.codec, frame.bytes, frame.side, frame.sideEnd);
    this.recent.note(frame.bytes, value);
    return value;
  }

  /** A value just loaded, as its readers here get it. */
  loaded(namespace: Namespace, encoded: EncodedValue, epochs: readonly Epoch[], lives: Lives): Found {
    const now = this.clock.now();
    return {
      value: new StoredValue(
        namespace.codec,
        encoded.payload,
        encoded.side,
        encoded.rebuild || namespace.isolation === 'copy',
      ),
      tier: 'loader',
      createdAt: now,
      freshUntil: now + lives.freshForMs,
      expiresAt: now + lives.ttlMs,
      fence: makeFence(epochs),
      isHeldOver: false,
      isGraced: false,
      bytes: encoded.payload.length + encoded.side.length,
    };
  }

  /** An entry whose refresh has failed: not to be refreshed again before `backOffMs` have passed. It never lives longer for it. */
  heldOver(found: Found, backOffMs: number): Found {
    return { ...found, isHeldOver: true, freshUntil: heldUntil(found, this.clock.now() + backOffMs) };
  }

  /**
   * The frame of {@link heldOver}, under the tokens that it was judged by: a tag may have been expired since it was loaded. One from under a
   * former stamp stays that.
   */
  heldOverFrame(frame: Frame, { fence, isGraced }: Found, backOffMs: number): Buffer {
    const freshUntil = heldUntil(frame, this.storeClock.now() + backOffMs);
    const tags = frameTags(epochsOf(fence));
    if (isGraced) tags[0] = frame.tags[0] as FrameTag;
    return encodeFrame(frame.with({ isHeldOver: true, freshUntil, tags }));
  }
}

function frameTags(epochs: readonly Epoch[]): FrameTag[] {
  return epochs.map(({ tag }) => tag);
}

function heldUntil(entry: { readonly freshUntil: number; readonly expiresAt: number }, backOffUntil: number): number {
  return Math.min(entry.expiresAt, Math.max(entry.freshUntil, backOffUntil));
}
