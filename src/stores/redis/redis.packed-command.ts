import { Command, Redis } from 'ioredis';
import { isCluster, type RedisClient } from './redis.driver.js';

/** A command's name and its arguments; one that is text and then bytes need not be joined for it. */
export type PackedParts = readonly [name: string, ...args: Array<string | Buffer | [text: string, bytes: Buffer]>];

/**
 * A command in one buffer, or one text if it has no bytes, from the start. Of bytes among its arguments the driver makes a buffer each, and joins them, which takes as long as
 * all else that this process does for an update; of many keys it measures each, and converts their text while the server waits for it.
 */
class PackedCommand extends Command {
  constructor(
    name: string,
    args: Array<string | Buffer | [string, Buffer]>,
    private readonly packed: Buffer | string,
  ) {
    super(name, args, { replyEncoding: null });
  }

  override toWritable(): Buffer | string {
    return this.packed;
  }
}

/** Sends it; `undefined` where the driver does more to a command than to write it, or is another copy than ours. */
export function sendPacked(
  client: RedisClient,
  name: string,
  args: Array<string | Buffer>,
): Promise<unknown> | undefined {
  if (!writesOnly(client)) return undefined;
  const packed = pack([name, ...args]);
  if (packed === undefined) return undefined;
  return client.sendCommand(new PackedCommand(name, args, packed)) as Promise<unknown>;
}

/** Commands that are to travel together. */
export interface PackedCommands {
  readonly commands: readonly PackedParts[];
  readonly packed: Buffer;
}

const NOTHING = Buffer.alloc(0);

/**
 * For few bytes: as text, with the bytes in it, all takes one call into the runtime, of which a process that has just woken up feels each.
 * @param commands whose texts are ASCII, as keys and prefixes of a store are
 */
export function packTogether(commands: readonly PackedParts[]): PackedCommands {
  let text = '';
  let last: Buffer | undefined;
  let lastText = '';
  for (const parts of commands) {
    text += `*${parts.length}\r\n`;
    for (const part of parts) {
      if (typeof part === 'string') {
        text += bulk(part);
        continue;
      }
      const [head, tail] = Array.isArray(part) ? part : ['', part];
      if (tail !== last) lastText = (last = tail).toString('latin1');
      text += bulk(head + lastText);
    }
  }
  return { commands, packed: Buffer.from(text, 'latin1') };
}

/**
 * Sends them in one buffer; resolves to the outcome of each. Not on a connection on which the driver would send some of them again by themselves
 * (`autoResendUnfulfilledCommands`, or an offline queue and `reconnectOnError`).
 */
export function sendTogether(
  client: Redis,
  { commands, packed }: PackedCommands,
): Promise<Array<PromiseSettledResult<unknown>>> {
  // The first takes all with it; the others wait for their replies only.
  const nowhere = { isPipeline: true as const, write: () => true, destination: { redis: client } };
  const replies = commands.map(([name, ...args], i) =>
    i === 0
      ? client.sendCommand(new PackedCommand(name, args, packed))
      : client.sendCommand(new PackedCommand(name, args, NOTHING), nowhere),
  );
  return Promise.allSettled(replies);
}

/** Whether the driver only writes what it is given. */
export function writesOnly(client: RedisClient): client is Redis {
  if (isCluster(client) || !(client instanceof Redis)) return false;
  const { keyPrefix, enableAutoPipelining, showFriendlyErrorStack } = client.options;
  return !keyPrefix && !enableAutoPipelining && !showFriendlyErrorStack;
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

/**
 * The wire format of requests (RESP): an array of bulk strings, each with its length in bytes. The texts between the bytes are joined, for each
 * call into the runtime takes as long as all else here. `undefined` if a text is not ASCII: then its length is not that of its bytes.
 */
function pack(parts: ReadonlyArray<string | Buffer>): Buffer | string | undefined {
  const texts: string[] = [];
  const bytes: Buffer[] = [];
  let text = `*${parts.length}\r\n`;
  let size = 0;
  for (const part of parts) {
    if (typeof part === 'string') {
      text += bulk(part);
    } else {
      texts.push(`${text}$${part.length}\r\n`);
      bytes.push(part);
      size += part.length;
      text = '\r\n';
    }
  }
  texts.push(text);
  for (const part of texts) {
    if (Buffer.byteLength(part) !== part.length) return undefined;
    size += part.length;
  }
  if (bytes.length === 0) return text;
  const packed = Buffer.allocUnsafe(size);
  let at = 0;
  for (let i = 0; i < texts.length; i++) {
    at += packed.write(texts[i] as string, at, 'latin1');
    const next = bytes[i];
    if (next === undefined) break;
    packed.set(next, at);
    at += next.length;
  }
  return packed;
}
