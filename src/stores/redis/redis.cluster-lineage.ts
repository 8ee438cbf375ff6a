import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import { refusalCode } from './redis.errors.js';
import { marked, runOf } from './redis.lineage.js';
import type { RedisMasters } from './redis.masters.js';

const MARK_LENGTH = 10;
/** A server that is at a long script refuses everything for a moment. */
const ASK_AGAIN_MS = 10_000;

/**
 * Which runs of which servers are the masters of a cluster; made part of every token, as a single server's run is. Entries and their tokens are
 * on different servers, so that all is void when one of them restarts, is replaced by its replica, comes or goes.
 */
export class RedisClusterLineage {
  /** By address. A master that is away keeps its own: what it has said was of that run. */
  readonly #runs = new Map<string, string>();
  /** Which connection told it. */
  readonly #toldOn = new Map<string, Redis>();
  /** Questions under way. A master that was none for a moment, as others saw it, is asked again: what it has told is forgotten. */
  readonly #asking = new WeakMap<Redis, Promise<void>>();
  /** The first question to each address. */
  readonly #first = new Map<string, Promise<void>>();
  /** What listens to a connection's end. */
  readonly #listeners = new Map<Redis, () => void>();
  /** Of those that were refused an answer. */
  readonly #again = new Map<Redis, NodeJS.Timeout>();
  #masters: RedisMasters | undefined;
  #mark = '';
  #changes = 0;

  /**
   * @param connected settles when the first attempt to connect has
   * @param changed told, before any answer of a new run is seen, that there is one
   */
  constructor(
    private readonly connected: () => Promise<void>,
    private readonly changed: () => void,
  ) {}

  watch(masters: RedisMasters): void {
    this.#masters = masters;
    masters.watch(() => this.#askNew());
    this.#askNew();
  }

  /** A client that is lent goes on without us. */
  close(): void {
    for (const [node, listener] of this.#listeners) node.off('close', listener);
    this.#listeners.clear();
    for (const timer of this.#again.values()) clearTimeout(timer);
    this.#again.clear();
    this.#masters = undefined;
  }

  /** Before a reply is believed: settles when whoever may have given it has told its run. `undefined`: that is known. */
  known(): Promise<unknown> | undefined {
    this.#masters?.look();
    let asking: Array<Promise<void>> | undefined;
    for (const [address, node] of this.#masters?.all ?? [])
      if (this.#toldOn.get(address) !== node && node.status === 'ready') (asking ??= []).push(this.#ask(address, node));
    return asking && Promise.all(asking);
  }

  /** As that of a RedisLineage. */
  async mark(operation: string, read: () => Promise<string[]>): Promise<string[]> {
    await this.connected();
    await Promise.all(this.#first.values());
    const changes = this.#changes;
    const tokens = await read();
    if (changes !== this.#changes) throw new StoreUnavailableError('redis', operation, 'connection');
    return tokens.map((token) => marked(token, this.#mark));
  }

  #askNew(): void {
    const masters = this.#masters?.all ?? new Map<string, Redis>();
    for (const address of this.#first.keys()) {
      if (masters.has(address)) continue;
      this.#first.delete(address);
      this.#runs.delete(address);
      this.#toldOn.delete(address);
    }
    for (const [address, node] of masters)
      if (!this.#first.has(address)) this.#first.set(address, this.#ask(address, node));
    this.#update();
  }

  #ask(address: string, node: Redis): Promise<void> {
    const running = this.#asking.get(node);
    if (running) return running;
    const asking = node.info('server').then(
      (info) => this.#learn(address, node, runOf(info)),
      (error: unknown) => {
        if (refusalCode(error) === undefined) return;
        this.#learn(address, node, '');
        this.#askLater(address, node);
      },
    );
    this.#asking.set(node, asking);
    return asking.finally(() => this.#asking.delete(node));
  }

  #learn(address: string, node: Redis, run: string): void {
    if (this.#masters?.all.get(address) !== node) return;
    this.#toldOn.set(address, node);
    this.#runs.set(address, run);
    if (!this.#listeners.has(node)) this.#listenTo(address, node);
    this.#update();
  }

  /** Or a restart of it would never be noticed. Nobody waits for that. */
  #askLater(address: string, node: Redis): void {
    const isMaster = (): boolean => this.#masters?.all.get(address) === node;
    if (!isMaster()) return;
    clearTimeout(this.#again.get(node));
    const ask = (): void => {
      this.#again.delete(node);
      if (isMaster()) void this.#ask(address, node);
    };
    this.#again.set(node, setTimeout(ask, ASK_AGAIN_MS).unref());
  }

  #listenTo(address: string, node: Redis): void {
    const closed = (): void => {
      this.#listeners.delete(node);
      clearTimeout(this.#again.get(node));
      this.#again.delete(node);
      if (this.#toldOn.get(address) === node) this.#toldOn.delete(address);
    };
    this.#listeners.set(node, closed);
    node.once('close', closed);
  }

  #update(): void {
    const runs = [...this.#runs.values()].filter((run) => run !== '').sort();
    const mark =
      runs.length === 0 ? '' : createHash('sha1').update(runs.join()).digest('base64url').slice(0, MARK_LENGTH);
    if (mark === this.#mark) return;
    const isFirst = this.#mark === '';
    this.#mark = mark;
    this.#changes++;
    if (!isFirst) this.changed();
  }
}
