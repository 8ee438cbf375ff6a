import type { Socket } from 'node:net';
import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import type { MemcachedCommand } from './memcached.commands.js';
import { MemcachedProtocolError, MemcachedReplies, type MemcachedReply } from './memcached.replies.js';

/** Why nothing came, or comes any more, over a connection. Without any text of the server. */
export interface MemcachedOutage {
  readonly reason: StoreUnavailableError['reason'];
  readonly detail?: string;
}

/** A server that was asked and is silent for so long is given up, in milliseconds. */
const SILENT_MS = 2000;

interface Asked {
  readonly operation: string;
  readonly answers: readonly string[];
  resolve(reply: MemcachedReply): void;
  reject(error: Error): void;
}

/**
 * One connection, from its first byte to its last: answers come in the order of the commands. What does not look like an answer ends it,
 * and with it all that was asked: an answer taken for that of another key would be somebody else's.
 */
export class MemcachedLink {
  private readonly replies = new MemcachedReplies();
  private readonly asked: Asked[] = [];
  private readonly patience: NodeJS.Timeout;
  private endedBy: MemcachedOutage | undefined;

  constructor(private readonly socket: Socket) {
    this.patience = setTimeout(() => this.lose(this.asked[0]), SILENT_MS).unref();
    socket.on('error', () => this.end({ reason: 'connection' }));
    socket.on('close', () => this.end({ reason: 'connection' }));
    socket.on('data', (chunk: Buffer) => this.read(chunk));
  }

  /** Why it is of no use any more; `undefined`: it is open. */
  get outage(): MemcachedOutage | undefined {
    return this.endedBy;
  }

  /** @throws StoreUnavailableError */
  ask(operation: string, { text, answers }: MemcachedCommand): Promise<MemcachedReply> {
    return new Promise((resolve, reject) => {
      if (this.endedBy) throw unavailable(operation, this.endedBy);
      if (this.asked.length === 0) this.patience.refresh();
      this.asked.push({ operation, answers, resolve, reject });
      this.socket.write(text);
    });
  }

  /** Rejects all that was asked. Only the first call does anything. */
  end(outage: MemcachedOutage): void {
    if (this.endedBy) return;
    this.endedBy = outage;
    clearTimeout(this.patience);
    this.socket.destroy();
    for (const { operation, reject } of this.asked.splice(0)) reject(unavailable(operation, outage));
  }

  private read(chunk: Buffer): void {
    if (this.endedBy) return;
    try {
      for (const reply of this.replies.push(chunk)) this.answer(reply);
    } catch (error) {
      if (!(error instanceof MemcachedProtocolError)) throw error;
      this.end({ reason: 'connection', detail: `its answer is not Memcached's: ${error.message}` });
    }
  }

  private answer(reply: MemcachedReply): void {
    const asked = this.asked.shift();
    if (!asked) throw new MemcachedProtocolError('an answer to nothing');
    this.patience.refresh();
    if (asked.answers.includes(reply.status)) return asked.resolve(reply);
    asked.reject(unavailable(asked.operation, { reason: 'refused', detail: reply.status }));
    // After this one alone the server has read the whole command.
    if (reply.status !== 'SERVER_ERROR') throw new MemcachedProtocolError(`${reply.status} was not to be expected`);
  }

  /** After a blocked event loop the answer may just not have been read yet: let it in first. */
  private lose(oldest: Asked | undefined): void {
    if (oldest) setImmediate(() => this.asked[0] === oldest && this.end({ reason: 'timeout' }));
  }
}

function unavailable(operation: string, { reason, detail }: MemcachedOutage): StoreUnavailableError {
  return new StoreUnavailableError('memcached', operation, reason, detail);
}
