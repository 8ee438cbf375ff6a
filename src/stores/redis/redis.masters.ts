import type { Cluster, Redis } from 'ioredis';

/**
 * The servers that own a cluster's slots, as far as the driver knows. It tells of no replica that has become a master, so this looks for
 * itself; looked at before a reply is believed, it knows whoever may have given that reply.
 */
export class RedisMasters {
  readonly #watchers: Array<() => void> = [];
  #known: ReadonlyMap<string, Redis> = new Map();

  constructor(private readonly cluster: Cluster) {
    for (const event of ['refresh', 'ready']) cluster.on(event, this.#refreshed);
    this.#refreshed();
  }

  /** By address, each with the driver's connection for commands. */
  get all(): ReadonlyMap<string, Redis> {
    return this.#known;
  }

  /** @param changed told at once when a master has come, gone, or been given another connection */
  watch(changed: () => void): void {
    this.#watchers.push(changed);
  }

  /** Has the driver ask the cluster. */
  refresh(): void {
    if (this.#isReady()) this.cluster.refreshSlotsCache();
  }

  look(): void {
    if (!this.#isReady()) return;
    let known: Map<string, Redis> | undefined;
    for (const node of this.cluster.nodes('master'))
      if (this.#known.get(addressOf(node)) !== node) (known ??= new Map(this.#known)).set(addressOf(node), node);
    if (known) this.#adopt(known);
  }

  close(): void {
    for (const event of ['refresh', 'ready']) this.cluster.off(event, this.#refreshed);
  }

  // Only now is a master gone: one whose connection has ended still owns its slots, for all that is known.
  readonly #refreshed = (): void => {
    if (!this.#isReady()) return;
    const masters = this.cluster.nodes('master').map((node): [string, Redis] => [addressOf(node), node]);
    const isSame = masters.length === this.#known.size && masters.every(([at, node]) => this.#known.get(at) === node);
    if (!isSame) this.#adopt(new Map(masters));
  };

  /** Before that the driver takes the addresses it was given to begin with for masters, and must be left alone with them. */
  #isReady(): boolean {
    return this.cluster.status === 'ready';
  }

  #adopt(known: ReadonlyMap<string, Redis>): void {
    this.#known = known;
    for (const changed of this.#watchers) changed();
  }
}

function addressOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}
