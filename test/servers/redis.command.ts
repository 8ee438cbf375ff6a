import { createConnection } from 'node:net';

/** Where and how to reach the server. */
export interface RedisCommandTarget {
  port: number;
  password?: string | undefined;
  /** Milliseconds for the whole exchange. Default 5000. */
  timeoutMs?: number | undefined;
}

interface Parsed {
  value: unknown;
  next: number;
}

/**
 * Sends one RESP2 command over a connection of its own, so that tests can steer a server without any driver. Bulk strings are read as UTF-8.
 * @throws Error with the server's message for an error reply, or when the server hangs up or does not answer in time
 * @example await redisCommand({ port: 20001 }, ['CONFIG', 'SET', 'maxmemory', '1mb']) // 'OK'
 */
export function redisCommand(
  target: RedisCommandTarget,
  args: ReadonlyArray<string | number | Uint8Array>,
): Promise<unknown> {
  const { port, password, timeoutMs = 5000 } = target;
  const commands = password === undefined ? [args] : [['AUTH', password], args];
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    let outstanding = commands.length;
    const socket = createConnection({ port, host: '127.0.0.1' });
    const settle = (action: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      action();
    };
    const fail = (message: string) => settle(() => reject(new Error(`${String(args[0])} on port ${port}: ${message}`)));
    const timer = setTimeout(() => fail(`no reply within ${timeoutMs} ms`), timeoutMs);
    socket.on('error', (error) => fail(error.message));
    socket.on('end', () => fail('the server closed the connection'));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      for (let reply = parse(received, 0); reply; reply = parse(received, 0)) {
        const { value, next } = reply;
        received = received.subarray(next);
        outstanding--;
        if (value instanceof Error) return fail(value.message);
        if (outstanding === 0) return settle(() => resolve(value));
      }
    });
    socket.write(Buffer.concat(commands.map(encode)));
  });
}

function encode(args: ReadonlyArray<string | number | Uint8Array>): Buffer {
  const parts = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = typeof arg === 'object' ? Buffer.from(arg) : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** The reply that begins at `at`, or `undefined` while it is incomplete. */
function parse(bytes: Buffer, at: number): Parsed | undefined {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return undefined;
  const line = bytes.toString('utf8', at + 1, lineEnd);
  let next = lineEnd + 2;
  switch (String.fromCharCode(bytes[at] ?? 0)) {
    case '+':
      return { value: line, next };
    case '-':
      return { value: new Error(line), next };
    case ':':
      return { value: Number(line), next };
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, next };
      if (bytes.length < next + length + 2) return undefined;
      return { value: bytes.toString('utf8', next, next + length), next: next + length + 2 };
    }
    case '*': {
      const length = Number(line);
      if (length < 0) return { value: null, next };
      const items: unknown[] = [];
      for (let index = 0; index < length; index++) {
        const item = parse(bytes, next);
        if (!item) return undefined;
        items.push(item.value);
        next = item.next;
      }
      return { value: items, next };
    }
    default:
      return { value: new Error('the reply is not RESP2'), next };
  }
}
