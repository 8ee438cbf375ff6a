import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FaultProxy } from './fault.proxy.js';
import { RedisServer } from './redis.server.js';

describe('FaultProxy', () => {
  const target = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  const sockets: Socket[] = [];
  let proxy: FaultProxy;
  beforeAll(async () => {
    await once(target.listen(0, '127.0.0.1'), 'listening');
    proxy = await FaultProxy.start((target.address() as { port: number }).port);
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await proxy.heal();
  });
  afterAll(async () => {
    await proxy.stop();
    target.close();
  });

  async function connect(): Promise<Socket> {
    const socket = createConnection({ port: proxy.port, host: '127.0.0.1', noDelay: true });
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  }
  async function echo(socket: Socket, bytes: string): Promise<number> {
    const start = performance.now();
    let length = 0;
    socket.write(bytes);
    while (length < bytes.length) length += ((await once(socket, 'data')) as [Buffer])[0].length;
    return performance.now() - start;
  }
  function closed(socket: Socket): Promise<string> {
    return new Promise((resolve) => {
      socket
        .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
        .on('close', () => resolve('closed'));
    });
  }

  it('passes bytes and the end of the stream, and counts connections', async () => {
    const before = proxy.accepted;
    const socket = await connect();
    await echo(socket, 'x'.repeat(2_000_000));
    expect(proxy.connections).toBe(1);
    const end = closed(socket);
    socket.end();
    expect(await end).toBe('closed');
    expect(proxy.accepted).toBe(before + 1);
    await expect.poll(() => proxy.connections).toBe(0);
  });

  it('delays both directions and keeps the order', async () => {
    const socket = await connect();
    proxy.delay(40);
    expect(await echo(socket, 'slow')).toBeGreaterThanOrEqual(78);
    socket.write('a');
    socket.write('b');
    socket.end('c');
    expect(await text(socket)).toBe('abc');
    await proxy.heal();
    expect(await echo(await connect(), 'fast')).toBeLessThan(40);
  });

  it('throttles', async () => {
    const socket = await connect();
    proxy.throttle(50_000);
    expect(await echo(socket, 'x'.repeat(10_000))).toBeGreaterThanOrEqual(195);
    await proxy.heal();
    expect(await echo(socket, 'x'.repeat(10_000))).toBeLessThan(195);
  });

  it('swallows everything in the blackhole without closing, and never delivers it afterwards', async () => {
    const used = await connect();
    const idle = await connect();
    await Promise.all([echo(used, 'warm'), echo(idle, 'warm')]);
    proxy.blackhole();
    const late = await connect();
    const ends = [closed(used), closed(late)];
    let received = 0;
    for (const socket of [used, late]) {
      socket.on('data', () => received++);
      socket.write('lost');
    }
    expect(await Promise.race([...ends, sleep(100, 'open')])).toBe('open');
    await proxy.heal();
    expect(await Promise.all(ends)).toEqual(['closed', 'closed']);
    expect(received).toBe(0);
    await echo(idle, 'lost nothing, so still good');
    await echo(await connect(), 'new');
  });

  it('hides from the client in the blackhole that the server is gone', async () => {
    await using redis = await RedisServer.start();
    await using inFront = await FaultProxy.start(redis.port);
    const socket = createConnection({ port: inFront.port, host: '127.0.0.1' });
    const end = closed(socket);
    await echo(socket, 'PING\r\n');
    inFront.blackhole();
    await redis.kill();
    expect(await Promise.race([end, sleep(50, 'open')])).toBe('open');
    await inFront.heal();
    expect(await end).toBe('closed');
  });

  it('cuts: connections end and new ones are refused until healed', async () => {
    const socket = await connect();
    await echo(socket, 'warm');
    const end = closed(socket);
    proxy.cut();
    expect(proxy.connections).toBe(0);
    await end;
    await expect(connect()).rejects.toThrow('ECONNREFUSED');
    await proxy.heal();
    await echo(await connect(), 'again');
  });

  it('resets existing connections only', async () => {
    const socket = await connect();
    await echo(socket, 'warm');
    const end = closed(socket);
    proxy.reset();
    expect(await end).toBe('ECONNRESET');
    await echo(await connect(), 'again');
  });
});
