import { Logger } from '@nestjs/common';
import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import type { SqlQuery } from '../../sql/sql-result.js';
import { OutboxRows, type OutboxRow } from './outbox-rows.js';
import { OUTBOX_TABLE } from './outbox-table.js';
import { Patience } from './patience.js';
import type { NotifyListener, StopListening } from './pg-listener.js';
import { settledWithin } from './settled-within.js';

/** Rows that are taken and published together. */
const BATCH = 100;
const DEFAULT_POLL_MS = 500;
/** While the store or the database is down. */
const MAX_PAUSE_MS = 2000;
/** Its statements take milliseconds. */
export const DEFAULT_QUERY_TIMEOUT_MS = 10_000;
/** How long the end of the application waits for the database. */
export const STOP_MS = 5000;

/** How a relay works. */
export interface OutboxRelaySettings {
  readonly table?: string | undefined;
  /** How often the table is looked at when nothing wakes the relay. Default 500 ms. */
  readonly pollMs?: number | undefined;
  /** Wakes the relay at a NOTIFY. */
  readonly listen?: NotifyListener | undefined;
  /** A statement that is not answered for so long is given up, and asked for again. Default 10 s. */
  readonly queryTimeoutMs?: number | undefined;
}

/**
 * Publishes what is in the outbox. Any number of them may run, in any processes, and any may be killed: a row is removed after the store
 * has acknowledged its invalidation, so that it is published at least once.
 */
export class OutboxRelay {
  private readonly logger = new Logger(OutboxRelay.name);
  private readonly rows: OutboxRows;
  private readonly table: string;
  private readonly pollMs: number;
  private running: Promise<void> | undefined;
  private isStopped = false;
  private failures = 0;
  private isWoken = false;
  private wakeUp: () => void = () => undefined;
  private readonly connecting: Patience;
  private listening: Promise<void> | undefined;
  private listenedAt = -Infinity;
  private stopListening: StopListening | undefined;

  /** @param publish resolves when the store has acknowledged */
  constructor(
    query: SqlQuery,
    private readonly publish: (tags: readonly string[]) => Promise<void>,
    private readonly settings: OutboxRelaySettings = {},
  ) {
    this.table = settings.table ?? OUTBOX_TABLE;
    this.pollMs = settings.pollMs ?? DEFAULT_POLL_MS;
    const { queryTimeoutMs = DEFAULT_QUERY_TIMEOUT_MS } = settings;
    const patience = new Patience(queryTimeoutMs);
    this.connecting = new Patience(queryTimeoutMs);
    this.rows = new OutboxRows((text, values) => patience.wait(() => query(text, values)), this.table);
  }

  /** Idempotent. */
  start(): void {
    this.running ??= this.run();
  }

  /** Resolves when nothing is under way any more, after {@link STOP_MS} in any case. What is left is for the next relay. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.wake();
    await settledWithin(STOP_MS, this.end());
  }

  private async end(): Promise<void> {
    await Promise.all([this.running, this.listening]);
    await this.stopListening?.();
  }

  private readonly wake = (): void => {
    this.isWoken = true;
    this.wakeUp();
  };

  private async run(): Promise<void> {
    while (!this.isStopped) {
      this.isWoken = false;
      let isMore = false;
      try {
        this.listen();
        isMore = await this.round();
        this.failures = 0;
      } catch (error) {
        if (this.failures++ === 0) this.logger.warn(`the outbox ${this.table} waits: ${messageOf(error)}`);
      }
      if (!isMore) await this.rest();
    }
  }

  /** @returns whether there is more to do */
  private async round(): Promise<boolean> {
    const taken = await this.rows.take(BATCH);
    const good = taken.filter(({ tags }) => isTags(tags));
    for (const row of taken) if (!isTags(row.tags)) this.complain(row, 'tags must be a list of texts');
    if (await this.hasPublished(good)) await this.remove(good);
    // One of them spoils it for all.
    else if (good.length > 1) for (const row of good) if (await this.hasPublished([row])) await this.remove([row]);
    return taken.length === BATCH;
  }

  /** `false`: the fault is with one of them. @throws what is the fault of none: the store is down */
  private async hasPublished(rows: readonly OutboxRow[]): Promise<boolean> {
    if (rows.length === 0) return true;
    try {
      await this.publish([...new Set(rows.flatMap(({ tags }) => tags as string[]))]);
      return true;
    } catch (error) {
      if (error instanceof StoreUnavailableError) throw await this.gaveBack(rows, error);
      if (rows.length === 1) this.complain(rows[0] as OutboxRow, messageOf(error));
      return false;
    }
  }

  private remove(rows: readonly OutboxRow[]): Promise<void> {
    return this.rows.remove(rows.map(({ id }) => id));
  }

  private async gaveBack(rows: readonly OutboxRow[], error: StoreUnavailableError): Promise<StoreUnavailableError> {
    await this.rows.giveBack(rows.map(({ id }) => id));
    return error;
  }

  private complain({ id, attempts }: OutboxRow, reason: string): void {
    this.logger.warn(`row ${id} of the outbox ${this.table} could not be published (attempt ${attempts}): ${reason}`);
  }

  /** One that was lost is made again, no more often than the table is polled. */
  private listen(): void {
    const { listen } = this.settings;
    const now = performance.now();
    if (!listen || this.listening || now - this.listenedAt < this.pollMs) return;
    this.listenedAt = now;
    this.listening = this.beginToListen(listen);
  }

  /** Beside the rounds, for a connection may be long in coming, or never come; until it is there the table is polled. */
  private async beginToListen(listen: NotifyListener): Promise<void> {
    let [isThere, isLost] = [false, false];
    const lost = (): void => {
      if (isLost) return;
      isLost = true;
      if (isThere) this.forgetListening();
    };
    try {
      // Not in this turn: the attempt is known as such when it fails.
      const attempt = (): Promise<StopListening> => Promise.resolve().then(() => listen(this.table, this.wake, lost));
      const stop = await this.connecting.wait(attempt, (late) => late());
      if (isLost) return this.forgetListening();
      isThere = true;
      this.stopListening = stop;
      // What was written before.
      this.wake();
    } catch (error) {
      this.forgetListening();
      this.logger.debug(`the outbox ${this.table} is polled: ${messageOf(error)}`);
    }
  }

  private forgetListening(): void {
    this.stopListening = undefined;
    this.listening = undefined;
  }

  private rest(): Promise<void> {
    const pause = Math.max(this.pollMs, Math.min(MAX_PAUSE_MS, this.pollMs * 2 ** this.failures));
    return new Promise((resolve) => {
      if (this.isWoken || this.isStopped) return resolve();
      // Relays that started together need not look together.
      const timer = setTimeout(resolve, pause * (0.8 + 0.4 * Math.random())).unref();
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function isTags(tags: unknown): tags is string[] {
  return Array.isArray(tags) && tags.every((tag) => typeof tag === 'string' && tag !== '');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : `a ${typeof error} was thrown`;
}
