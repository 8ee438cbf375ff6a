import type { RedisClient } from './redis.driver.js';
import type { RedisConnection } from './redis.connection.js';
import { refusalCode } from './redis.errors.js';
import { sendTogether, writesOnly, type PackedParts } from './redis.packed-command.js';
import { RedisServerTime } from './redis.server-time.js';

const MULTI: PackedParts = ['multi'];
const EXEC: PackedParts = ['exec'];

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
  /** Whether this user may, and this driver can; `undefined`: not asked yet. */
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

  /** The server's time in milliseconds, as `ask` resolves to it; noted on its way. */
  noteTime(ask: () => Promise<number>): Promise<number> {
    return this.#time.note(ask);
  }

  /** Whether it was written; `false`: by now it is to go by a script. `undefined`: so it is at once. */
  send(update: RedisUpdate): Promise<boolean> | undefined {
    if (this.#isAllowed === false || !this.connection.isIdle) return undefined;
    const time = this.#time.least;
    if (!this.#isAllowed || time === undefined) {
      void this.#ask();
      return undefined;
    }
    const commands = commandsOf(update, time);
    return this.connection.run('write', (client) => this.#isWritten(sendTogether(client, commands)));
  }

  async #isWritten(replies: Promise<unknown> | undefined): Promise<boolean> {
    try {
      const replied = (await replies) as unknown[] | undefined;
      const refusal = replied?.[0];
      if (refusal instanceof Error) throw refusal;
      return replied !== undefined;
    } catch (error) {
      const code = refusalCode(error);
      // The user may not, or a proxy does not know it: scripts are another matter. What else is refused they would be, too.
      if (code === 'NOPERM' || code === 'ERR') this.#isAllowed = false;
      else if (code !== 'EXECABORT') throw error;
      return false;
    }
  }

  /** On a connection of which no more is known than that it is there. */
  async #ask(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      await this.noteTime(() => this.connection.run('now', (client) => this.#timeOf(client)));
      this.#isAllowed = true;
    } catch {
      // Asked again, unless it was refused.
    } finally {
      this.#isAsking = false;
    }
  }

  async #timeOf(client: RedisClient): Promise<number> {
    try {
      const [time] = (await sendTogether(client, [MULTI, ['time'], EXEC])) as [[seconds: unknown, micros: unknown]];
      return Number(time[0]) * 1000 + Number(time[1]) / 1000;
    } catch (error) {
      if (refusalCode(error) !== undefined) this.#isAllowed = false;
      throw error;
    }
  }
}

function commandsOf({ entry, lease, frame, ttl, channel, report }: RedisUpdate, time: number): PackedParts[] {
  const seconds = Math.floor(time / 1000);
  const head = `${report}${seconds}.${Math.floor((time - seconds * 1000) * 1000)}:`;
  return [MULTI, ['set', entry, frame, 'PX', ttl], ['del', lease], ['publish', channel, [head, frame]], EXEC];
}
