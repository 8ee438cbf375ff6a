import { performance } from 'node:perf_hooks';
import type { Redis, RedisOptions } from 'ioredis';
import type { StoreListener } from '../contract/cache-store.js';
import { RedisHeartbeat } from './redis.heartbeat.js';
import type { RedisKeyspace } from './redis.keyspace.js';
import type { RedisMasters } from './redis.masters.js';
import { RedisSubscriber } from './redis.subscriber.js';
import { cut } from './redis.watchdog.js';

/**
 * Hears of every change in a cluster: one {@link RedisSubscriber} a master, since a server reports its own keys only. The listener is told that
 * it hears when all masters track and, asked after that, have said that they are masters of a cluster that works; that it does not, as soon
 * as any of this is in doubt. A key that moves to another server is deleted where it was, and reported; and nothing is read from a server
 * before it was noticed here.
 */
export class RedisClusterSubscriber {
  readonly #ears = new Map<string, RedisSubscriber>();
  readonly #hearing = new Set<string>();
  readonly #silent = new Set<Redis>();
  readonly #heartbeat = new RedisHeartbeat(
    () => this.#ask(),
    () => this.#missed(),
  );
  #doubts = 0;
  /** When all were asked who were found sound then. */
  #soundAt = -Infinity;
  #isHeard = false;
  #closed = false;

  constructor(
    private readonly masters: RedisMasters,
    private readonly options: RedisOptions,
    private readonly keyspace: RedisKeyspace,
    private readonly listener: StoreListener,
  ) {}

  start(): void {
    this.masters.watch(() => this.#listenToAll());
    this.#listenToAll();
    this.#heartbeat.start();
  }

  #listenToAll(): void {
    if (this.#closed) return;
    this.#doubt();
    const masters = this.masters.all;
    for (const [address, ear] of this.#ears) {
      if (masters.has(address)) continue;
      this.#ears.delete(address);
      this.#hearing.delete(address);
      void ear.close();
    }
    for (const [address, node] of masters) if (!this.#ears.has(address)) this.#listenTo(address, node);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#heartbeat.stop();
    await Promise.all([...this.#ears.values()].map((ear) => ear.close()));
  }

  #listenTo(address: string, node: Redis): void {
    const isHere = (): boolean => !this.#closed && this.#ears.get(address) === ear;
    const { listener } = this;
    const ear = new RedisSubscriber(node, this.options, this.keyspace, {
      changed: (keys) => listener.changed(keys),
      updated: (key, frame, at, forMs) => listener.updated(key, frame, at, forMs),
      flushed: () => listener.flushed(),
      released: (keys) => listener.released(keys),
      rotated: (names) => listener.rotated(names),
      heard: () => {
        if (!isHere()) return;
        this.#hearing.add(address);
        this.#heartbeat.start();
      },
      lost: (silentMs) => {
        if (!isHere()) return;
        this.#hearing.delete(address);
        this.#doubt(silentMs);
      },
    });
    this.#ears.set(address, ear);
    ear.start();
  }

  async #ask(): Promise<void> {
    const asked = performance.now();
    const doubts = this.#doubts;
    const { all } = this.masters;
    const isComplete = all.size > 0 && [...all.keys()].every((address) => this.#hearing.has(address));
    const areSound = (await Promise.all([...all.values()].map((node) => this.#isSound(node)))).every(Boolean);
    if (this.#closed) return;
    if (!areSound) this.#doubt();
    if (!isComplete || !areSound) return this.masters.refresh();
    if (doubts !== this.#doubts) return;
    this.#soundAt = asked;
    if (this.#isHeard) return;
    this.#isHeard = true;
    this.listener.heard();
  }

  /** Not demoted, not cut off from the others, who may have chosen another master meanwhile, and with as many as are known here. */
  async #isSound(node: Redis): Promise<boolean> {
    this.#silent.add(node);
    try {
      const [replication, cluster] = await Promise.all([node.info('replication'), node.cluster('INFO')]);
      const masters = Number(/^cluster_size:(\d+)/m.exec(String(cluster))?.[1]);
      return (
        /^role:master/m.test(replication) &&
        /^cluster_state:ok/m.test(String(cluster)) &&
        masters === this.masters.all.size
      );
    } catch {
      return false;
    } finally {
      this.#silent.delete(node);
    }
  }

  #missed(): void {
    this.#doubt();
    for (const node of this.#silent) cut(node);
    this.masters.refresh();
    this.#heartbeat.start();
  }

  /** @param silentMs for how long one of them was not heard */
  #doubt(silentMs = 0): void {
    this.#doubts++;
    if (!this.#isHeard) return;
    this.#isHeard = false;
    if (!this.#closed) this.listener.lost(Math.max(silentMs, performance.now() - this.#soundAt));
  }
}
