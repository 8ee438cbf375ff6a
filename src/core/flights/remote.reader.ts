import type { StoreClock } from '../clock/store-clock.js';
import type { Clock } from '../clock/clock.js';
import type { Frame } from '../envelope/frame.js';
import type { EntryCodec } from '../entry-codec.js';
import type { Address } from '../keys/address.js';
import type { Namespace } from '../namespace.js';
import type { StoreGuard, WaitBudget } from '../outage/store-guard.js';
import type { Found } from '../tiers/found.js';
import type { MemoryTier } from '../tiers/memory.tier.js';
import type { Epoch } from '../tokens/epoch.js';
import type { TokenRegistry } from '../tokens/token-registry.js';
import type { KeyWatch } from './key-watch.js';

/** What the store had for one key. */
export interface Reading {
  /** The frame as read, usable or not: what an `acquire` must not be answered with again. */
  readonly frame: Uint8Array | undefined;
  readonly found: Found | undefined;
}

/** Reads the remote tier, judges what it finds, and fills the memory tier with the remaining life. */
export class RemoteReader {
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
    const watches = addresses.map((address) => this.watch.begin(address.store));
    const readings: Reading[] = [];
    try {
      await this.ready(budget);
      // The namespace's token is asked for in the same tick, so that it travels with the values.
      const [frames] = await Promise.all([
        this.guard.run('read', budget, (store) => store.read(addresses.map((address) => address.store))),
        this.tokens.known([namespace.token]) ? undefined : this.tokens.read([namespace.token], budget),
      ]);
      for (let i = 0; i < addresses.length; i++) {
        const reading = this.judge(namespace, addresses[i] as Address, frames[i], budget);
        readings.push(reading instanceof Promise ? await reading : reading);
      }
    } finally {
      watches.forEach((isDisturbed, i) => {
        const found = readings[i]?.found;
        if (!isDisturbed() && found) this.memory?.insert(namespace.index, (addresses[i] as Address).local, found);
      });
    }
    return readings;
  }

  /** Waits, the first time, for the store's time. */
  async ready(budget: WaitBudget): Promise<void> {
    const waiting = this.storeClock.ready();
    if (waiting) await this.guard.run('now', budget, () => waiting);
  }

  /** Whether a frame may be served: sound, alive, and loaded under the tokens of now. Synchronous unless a token must be asked for. */
  judge(namespace: Namespace, address: Address, bytes: Uint8Array | undefined, budget: WaitBudget): Reading | Promise<Reading> {
    const frame = bytes && this.entries.parse(namespace, address, bytes);
    if (frame === undefined) return { frame: bytes, found: undefined };
    const names = frame.tags.map((tag) => tag.name);
    const known = this.tokens.known(names);
    if (known) return this.compare(namespace, frame, known);
    return this.tokens.read(names, budget).then((epochs) => this.compare(namespace, frame, epochs));
  }

  private compare(namespace: Namespace, frame: Frame, epochs: readonly Epoch[]): Reading {
    const isCurrent = epochs.every((epoch, i) => epoch.token === frame.tags[i]?.token);
    return { frame: frame.bytes, found: isCurrent ? this.entries.found(namespace, frame, epochs, 'remote') : undefined };
  }

  isFresh(found: Found): boolean {
    return this.clock.now() < found.freshUntil;
  }
}
