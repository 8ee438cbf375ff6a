import type { StoreClock } from '../clock/store-clock.js';
import type { Clock } from '../clock/clock.js';
import type { Frame, FrameTag } from '../envelope/frame.js';
import type { EntryCodec } from '../entry-codec.js';
import type { Address } from '../keys/address.js';
import type { Namespace } from '../namespace.js';
import type { StoreGuard, WaitBudget } from '../outage/store-guard.js';
import type { Found } from '../tiers/found.js';
import type { MemoryTier } from '../tiers/memory.tier.js';
import type { Epoch, Fence } from '../tokens/epoch.js';
import { makeFence, standingOf } from '../tokens/epoch.js';
import type { TokenRegistry } from '../tokens/token-registry.js';
import type { KeyWatch } from './key-watch.js';

/** What the store had for one key. */
export interface Reading {
  /** The frame as read, usable or not: what an `acquire` must not be answered with again. */
  readonly frame: Uint8Array | undefined;
  readonly found: Found | undefined;
}

/** The keys that are read in one tick. */
interface Tick {
  readonly keys: string[];
  readonly tokens: Set<string>;
  readonly budget: WaitBudget;
  readonly frames: Promise<Array<Uint8Array | undefined>>;
}

/** Reads the remote tier, judges what it finds, and fills the memory tier with the remaining life. */
export class RemoteReader {
  private tick: Tick | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly storeClock: StoreClock,
    private readonly guard: StoreGuard,
    private readonly entries: EntryCodec,
    private readonly tokens: TokenRegistry,
    private readonly memory: MemoryTier | undefined,
    private readonly watch: KeyWatch,
  ) {}

  /** Readings of several keys, in order, in one operation. Rejects with StoreUnavailableError. */
  async read(namespace: Namespace, addresses: readonly Address[], budget: WaitBudget): Promise<Reading[]> {
    const moment = this.watch.begin();
    const readings: Reading[] = [];
    try {
      const stores = addresses.map((address) => address.store);
      const frames = await this.fetch(stores, [namespace.token], budget);
      const readAt = this.storeClock.now();
      for (let i = 0; i < addresses.length; i++) {
        const reading = this.judge(namespace, addresses[i] as Address, frames[i], budget, readAt);
        readings.push(reading instanceof Promise ? await reading : reading);
      }
    } finally {
      readings.forEach(({ found }, i) => this.remember(namespace, addresses[i] as Address, found, moment));
      this.watch.end();
    }
    return readings;
  }

  /** As {@link read}, for one key: the readings of one tick are one operation. Takes a budget nothing was spent of. */
  async readOne(namespace: Namespace, address: Address, budget: WaitBudget): Promise<Reading> {
    const moment = this.watch.begin();
    try {
      const tick = (this.tick ??= this.beginTick());
      const at = tick.keys.push(address.store) - 1;
      tick.tokens.add(namespace.token);
      const frames = await tick.frames;
      budget.remainingMs = tick.budget.remainingMs;
      const judged = this.judge(namespace, address, frames[at], budget);
      const reading = judged instanceof Promise ? await judged : judged;
      this.remember(namespace, address, reading.found, moment);
      return reading;
    } finally {
      this.watch.end();
    }
  }

  private beginTick(): Tick {
    const keys: string[] = [];
    const tokens = new Set<string>();
    const budget = this.guard.budget();
    const frames = Promise.resolve().then(() => {
      this.tick = undefined;
      return this.fetch(keys, [...tokens], budget);
    });
    return { keys, tokens, budget, frames };
  }

  /** Fills the memory tier, unless a report overtook the reading. */
  private remember(namespace: Namespace, address: Address, found: Found | undefined, moment: number): void {
    if (found && !this.watch.isReported(address.store, moment))
      this.memory?.insert(namespace.index, address.local, found);
  }

  /** Frames of `keys`. Tokens that are not known are asked for in the same tick, so that they travel with the values. */
  private async fetch(
    keys: readonly string[],
    tokens: readonly string[],
    budget: WaitBudget,
  ): Promise<Array<Uint8Array | undefined>> {
    await this.ready(budget);
    const reading = this.guard.run('read', budget, (store) => store.read(keys));
    if (this.tokens.known(tokens)) return reading;
    const [frames] = await Promise.all([reading, this.tokens.read(tokens, budget)]);
    return frames;
  }

  /** Waits, the first time, for the store's time. */
  async ready(budget: WaitBudget): Promise<void> {
    const waiting = this.storeClock.ready();
    if (waiting) await this.guard.run('now', budget, () => waiting);
  }

  /** Whether a frame may be served: sound, alive, and loaded under the tokens of now. Synchronous unless a token must be asked for. */
  judge(
    namespace: Namespace,
    address: Address,
    bytes: Uint8Array | undefined,
    budget: WaitBudget,
    readAt?: number,
  ): Reading | Promise<Reading> {
    const frame = bytes && this.entries.parse(namespace, address, bytes, readAt);
    if (frame === undefined) return { frame: bytes, found: undefined };
    // Most entries carry their namespace's token alone.
    const only = this.tokens.current(namespace.token);
    if (only && frame.isTagged(only.onlyTag)) return this.reading(namespace, frame, only.fence);
    const { tags } = frame;
    const names = tags.map((tag) => tag.name);
    const known = this.tokens.known(names);
    if (known) return this.compare(namespace, frame, tags, known);
    return this.tokens.read(names, budget).then((epochs) => this.compare(namespace, frame, tags, epochs));
  }

  private compare(namespace: Namespace, frame: Frame, tags: readonly FrameTag[], epochs: readonly Epoch[]): Reading {
    let isStale = false;
    for (let i = 0; i < epochs.length; i++) {
      const standing = standingOf(tags[i]?.token, epochs[i]?.token);
      if (standing === 'void') return { frame: frame.bytes, found: undefined };
      isStale ||= standing === 'stale';
    }
    const reading = this.reading(namespace, frame, makeFence(epochs));
    if (!isStale || reading.found === undefined) return reading;
    // One of its tags was expired after it was loaded.
    const freshUntil = Math.min(reading.found.freshUntil, this.clock.now());
    return { frame: reading.frame, found: { ...reading.found, freshUntil, isHeldOver: false } };
  }

  private reading(namespace: Namespace, frame: Frame, fence: Fence): Reading {
    return { frame: frame.bytes, found: this.entries.found(namespace, frame, fence, 'remote') };
  }

  isFresh(found: Found): boolean {
    return this.clock.now() < found.freshUntil;
  }
}
