import { Command, Redis } from 'ioredis';
import { isCluster, type RedisClient } from './redis.driver.js';

/**
 * A command in one buffer from the start. Of bytes among its arguments the driver makes a buffer each, and joins them, which takes as long as
 * all else that this process does for an update; of many keys it measures each, and converts their text while the server waits for it.
 */
class PackedCommand extends Command {
  constructor(
    name: string,
    args: Array<string | Buffer>,
    private readonly packed: Buffer,
  ) {
    super(name, args, { replyEncoding: null });
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
  const packed = pack(name, args);
  return packed && (client.sendCommand(new PackedCommand(name, args, packed)) as Promise<unknown>);
}

/**
 * The wire format of a request (RESP): an array of bulk strings, each with its length in bytes. The texts between the bytes are joined, for each
 * call into the runtime takes as long as all else here. `undefined` if a text is not ASCII: then its length is not that of its bytes.
 */
function pack(name: string, args: ReadonlyArray<string | Buffer>): Buffer | undefined {
  const texts: string[] = [];
  const bytes: Buffer[] = [];
  let text = `*${args.length + 1}\r\n$${name.length}\r\n${name}\r\n`;
  let size = 0;
  for (const arg of args) {
    if (typeof arg === 'string') {
      text += `$${arg.length}\r\n${arg}\r\n`;
    } else {
      texts.push(`${text}$${arg.length}\r\n`);
      bytes.push(arg);
      size += arg.length;
      text = '\r\n';
    }
  }
  texts.push(text);
  for (const part of texts) {
    if (Buffer.byteLength(part) !== part.length) return undefined;
    size += part.length;
  }
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
