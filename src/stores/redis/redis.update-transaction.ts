import type { Redis } from 'ioredis';
import type { RedisConnection } from './redis.connection.js';
import type { RedisClient } from './redis.driver.js';
import { refusalCode } from './redis.errors.js';
import {
  packTogether,
  sendTogether,
  writesOnly,
  type PackedCommands,
  type PackedParts,
} from './redis.packed-command.js';
import { NO_REPORT } from './redis.reports.js';
import { millisecondsOf, RedisServerTime } from './redis.server-time.js';

const MULTI: PackedParts = ['multi'];
const TIME: PackedParts = ['time'];
const EXEC: PackedParts = ['exec'];

/** How servers say no to a user, and proxies to a command they do not know. */
const NOT_ALLOWED: ReadonlySet<string> = new Set(['NOPERM', 'ERR', 'EXECABORT']);

export interface RedisUpdate {
  readonly entry: string;
  readonly lease: string;
  readonly frame: Buffer;
  readonly ttl: string;
  readonly channel: string;
  /** Published in front of the server's time and the frame. */
  readonly report: string;
}

/**
 * An update by MULTI in place of a script. A server that has just woken up takes a third of the time for it, and tells the others before it answers
 * the writer. What it cannot put into the news is its time, but what this is at least will do: who reads it asks only whether the news are
 * surely newer than what is known. Only where nothing else is under way: of many, scripts are less work for both sides.
 */
export class RedisUpdateTransaction {
  readonly #time = new RedisServerTime();
  /** Whether this user may, and this driver can; `undefined`: to be asked. */
  #isAllowed: boolean | undefined;
  #isAsking = false;

  constructor(private readonly connection: RedisConnection) {}

  watch(client: RedisClient): void {
    // On a connection that is lent, a transaction of the user's may be under way, which ours would end.
    if (writesOnly(client) && !this.connection.isLent) this.#time.watch(client);
    else this.#isAllowed = false;
  }

  close(): void {
    this.#time.close();
  }

  /**
   * On its way before this returns. `undefined`: it is to go by a script, at once too, lest what is called next comes first.
   * @throws StoreUnavailableError (rejects)
   */
  send(update: RedisUpdate): Promise<void> | undefined {
    if (this.#isAllowed === false || !this.connection.isIdle) return undefined;
    const time = this.#time.least;
    if (this.#isAllowed && time !== undefined)
      return this.#run('write', packTogether(commandsOf(update, time, this.#time.isDue)));
    void this.#ask(update.channel);
    return undefined;
  }

  /** Whether all that an update needs is allowed; and, on a new connection, what time it is. */
  async #ask(channel: string): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      await this.#run('now', packTogether([MULTI, ['publish', channel, NO_REPORT], TIME, EXEC]));
      this.#isAllowed = true;
    } catch {
      // Asked again at the next update, unless it was refused.
    } finally {
      this.#isAsking = false;
    }
  }

  /** Where a transaction tells the time, it is by its last command. */
  #run(operation: 'now' | 'write', packed: PackedCommands): Promise<void> {
    const { connection } = this.#time;
    return this.connection.run(operation, async (client) => {
      const outcomes = await sendTogether(client as Redis, packed);
      const refused = outcomes.find((outcome) => outcome.status === 'rejected');
      const replies = refused ? [refused.reason] : (outcomes.at(-1) as PromiseFulfilledResult<unknown[]>).value;
      const failure: unknown = replies.find((reply) => reply instanceof Error);
      if (failure !== undefined) {
        this.#failed(operation, failure, outcomes);
        throw failure;
      }
      const time = replies.at(-1);
      if (Array.isArray(time)) this.#time.learn(millisecondsOf(time), connection);
    });
  }

  #failed(operation: 'now' | 'write', failure: unknown, outcomes: Array<PromiseSettledResult<unknown>>): void {
    // What was allowed is so no more, perhaps in part only: where MULTI is refused, the others are carried out one by one.
    if (NOT_ALLOWED.has(refusalCode(failure) ?? '')) this.#isAllowed = operation === 'now' ? false : undefined;
    const [begun, ended] = [outcomes[0], outcomes.at(-1)];
    if (begun?.status !== 'fulfilled' || ended?.status !== 'rejected') return;
    // Before Redis 6.0.6 a transaction whose end was refused is still open.
    const refusal = refusalCode(ended.reason);
    if (refusal !== undefined && refusal !== 'EXECABORT') this.connection.leave();
  }
}

function commandsOf(update: RedisUpdate, time: number, asksTime: boolean): PackedParts[] {
  const { entry, lease, frame, ttl, channel, report } = update;
  const seconds = Math.floor(time / 1000);
  const head = `${report}${seconds}.${Math.floor((time - seconds * 1000) * 1000)}:`;
  const commands: PackedParts[] = [
    MULTI,
    ['set', entry, frame, 'PX', ttl],
    ['del', lease],
    ['publish', channel, [head, frame]],
  ];
  if (asksTime) commands.push(TIME);
  commands.push(EXEC);
  return commands;
}
