import { Command, Redis } from 'ioredis';
import { isCluster, type RedisClient } from './redis.driver.js';

/**
 * A command with bytes among its arguments, in one buffer from the start. The driver makes a buffer for each argument and joins them, which
 * takes as long as all else that this process does for an update.
 */
class PackedCommand extends Command {
  private readonly packed: Buffer;

  constructor(name: string, args: Array<string | Buffer>) {
    super(name, args, { replyEncoding: null });
    this.packed = pack(name, args);
  }

  override toWritable(): Buffer {
    return this.packed;
  }
}

/** Sends it; `undefined` where the driver does more to a command than to write it, or is another copy than ours. */
export function sendPacked(
  client: RedisClient,
  name: string,
  args: Array<string | Buffer>,
): Promise<unknown> | undefined {
  if (isCluster(client) || !(client instanceof Redis)) return undefined;
  const { keyPrefix, enableAutoPipelining, showFriendlyErrorStack } = client.options;
  if (keyPrefix || enableAutoPipelining || showFriendlyErrorStack) return undefined;
  return client.sendCommand(new PackedCommand(name, args)) as Promise<unknown>;
}

type Part = string | Buffer;

/** The wire format of a request (RESP): an array of bulk strings, each with its length in bytes. */
function pack(name: string, args: readonly Part[]): Buffer {
  const all = [name, ...args];
  // Nearly all texts are ASCII: then two questions for the length in bytes do, in place of one for each argument.
  const parts = joined(all, (text) => text.length);
  return parts.every(isAscii) ? concat(parts) : concat(joined(all, Buffer.byteLength));
}

/** As few as there can be: the texts between the bytes. */
function joined(args: readonly Part[], lengthOf: (text: string) => number): Part[] {
  let text = `*${args.length}\r\n`;
  const parts: Part[] = [];
  for (const arg of args) {
    if (typeof arg === 'string') {
      text += `$${lengthOf(arg)}\r\n${arg}\r\n`;
    } else {
      parts.push(`${text}$${arg.length}\r\n`, arg);
      text = '\r\n';
    }
  }
  parts.push(text);
  return parts;
}

function isAscii(part: Part): boolean {
  return typeof part !== 'string' || Buffer.byteLength(part) === part.length;
}

function concat(parts: readonly Part[]): Buffer {
  const packed = Buffer.allocUnsafe(parts.reduce((size, part) => size + Buffer.byteLength(part), 0));
  let at = 0;
  for (const part of parts) at += typeof part === 'string' ? packed.write(part, at) : part.copy(packed, at);
  return packed;
}
