import type { KnownServer } from './redis.lineage.js';

/** Where two connections through one address go to two servers all the time, each is still of some use. */
const LEAVE_EVERY_MS = 10_000;

/** The connection that commands travel on. */
export interface CommandLink {
  /** Who answers; `undefined`: nobody, or that is not known yet. */
  readonly server: KnownServer | undefined;
  /** Connects anew, if that is for this package to decide. */
  leave(): void;
  /** Asks once more whose run it is on. */
  askAgain(): void;
}

/**
 * Whether news come from the server that answers: of another they are worth nothing. After a failover an address may lead to the new master
 * while a connection to the old one lives on; that one is left.
 */
export class RedisCommonServer {
  #news: KnownServer | undefined;
  #leftAt = -Infinity;
  /** What commands were to leave, and have not where their client is lent. */
  #left: KnownServer | undefined;
  #again: NodeJS.Timeout | undefined;

  constructor(
    private readonly commands: CommandLink | undefined,
    private readonly leaveNews: () => void,
    /** Told again and again. */
    private readonly settled: (isCommon: boolean) => void,
  ) {}

  /** Where news come from; `undefined`: from nowhere, of which nobody is told. */
  listenTo(server: KnownServer | undefined): void {
    clearTimeout(this.#again);
    this.#news = server;
    this.compare();
  }

  /** To be called when another server may answer than before. */
  compare(): void {
    const news = this.#news;
    if (!news) return;
    const answering = this.commands?.server;
    const isCommon = answering === undefined || answering.run === news.run;
    clearTimeout(this.#again);
    this.settled(isCommon);
    if (!isCommon) this.#leaveOlder(news, answering);
  }

  /**
   * Of two connections to one address the later one has found who is there now. Not where one was refused an answer, perhaps for a moment: that one
   * is asked again.
   */
  #leaveOlder(news: KnownServer, answering: KnownServer): void {
    const restMs = this.#leftAt + LEAVE_EVERY_MS - performance.now();
    this.#again = setTimeout(() => this.compare(), restMs > 0 ? restMs : LEAVE_EVERY_MS).unref();
    if (restMs > 0) return;
    this.#leftAt = performance.now();
    if (answering.run === '') return this.commands?.askAgain();
    const isStuck = answering === this.#left;
    if (news.run === '' || news.since <= answering.since || isStuck) return this.leaveNews();
    this.#left = answering;
    this.commands?.leave();
  }
}
