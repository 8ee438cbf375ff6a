import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { StoreUnavailableError } from '../../src/index.js';
import { RequestNotSentError, type LockRequest, type LockStore } from '../../src/locks/contract/lock-store.js';
import { memcachedLocks, type MemcachedStoreOptions } from '../../src/stores/memcached/index.js';
import { MemcachedReplies, type MemcachedReply } from '../../src/stores/memcached/memcached.replies.js';
import { failure } from '../locks/subject.js';
import { freePort } from '../servers/free.port.js';
import { MemcachedServer } from '../servers/memcached.server.js';
import { selfSignedCertificate } from '../servers/self-signed.certificate.js';

const MISSED = ['EN'];

let server: MemcachedServer;
beforeAll(async () => {
  server = await MemcachedServer.start();
});
afterAll(() => server.stop());
beforeEach(() => server.command('flush_all'));

function open(options: MemcachedStoreOptions): LockStore {
  const store = memcachedLocks(options);
  onTestFinished(() => store.close());
  return store;
}

function asked(owner: string, leaseMs = 10_000): LockRequest {
  return { owner, leaseMs, waitMs: 0, maxQueue: 0 };
}

/** Says what a test has it say. Every connection is greeted as by Memcached. */
async function impostor(answer: (line: string, socket: Socket, connection: number) => void) {
  const lines: string[][] = [];
  const sockets = new Set<Socket>();
  const listening = createServer((socket) => {
    const connection = lines.push([]) - 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.setEncoding('latin1').on('data', (text: string) => {
      for (const line of text.split('\r\n').filter(Boolean)) {
        if (line === 'mn') socket.write('MN\r\n');
        else (lines[connection] as string[]).push(line);
        if (line !== 'mn') answer(line, socket, connection);
      }
    });
  });
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    listening.close();
  });
  return { url: `memcached://127.0.0.1:${(listening.address() as AddressInfo).port}`, lines, sockets };
}

describe('answers', () => {
  const BYTES = 'VA 4 c12 t-1 W\r\na\r\nb\r\nHD c7\r\nEN\r\nNF\r\nCLIENT_ERROR bad command\r\nVA 0\r\n\r\n';

  it.each([1, 2, 3, 7, 1000])('are put together from pieces of %i bytes', (size) => {
    const replies = new MemcachedReplies();
    const bytes = Buffer.from(BYTES);
    const read: MemcachedReply[] = [];
    for (let at = 0; at < bytes.length; at += size) read.push(...replies.push(bytes.subarray(at, at + size)));
    expect(read.map(({ status, data }) => [status, data && String(data)])).toEqual([
      ['VA', 'a\r\nb'],
      ['HD', undefined],
      ['EN', undefined],
      ['NF', undefined],
      ['CLIENT_ERROR', undefined],
      ['VA', ''],
    ]);
    expect(['c', 't', 'W', 'x'].map((letter) => read[0]?.flag(letter))).toEqual(['12', '-1', '', undefined]);
    expect(read[1]?.flag('c')).toBe('7');
  });

  it('belong to the questions in their order, however many are under way', async () => {
    const store = open({ url: server.url });
    const names = Array.from({ length: 200 }, (_, i) => `{k${i}}`);
    await Promise.all(names.map((name) => store.acquire(name, asked(`owner of ${name}`))));
    const states = await Promise.all(names.map((name) => store.inspect(name)));
    expect(states.map((state) => state?.owner)).toEqual(names.map((name) => `owner of ${name}`));
  });

  it.each([
    ['no answer at all', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['binary', '\x81\x00\x00\x01\r\n'],
    ['a line without an end', 'x'.repeat(3000)],
    ['one too many', 'EN\r\n'.repeat(4)],
    ['a value without a size', 'VA c1 t5\r\nabc\r\n'],
    ['a value that is longer than it says', 'VA 2 c1 t5\r\nabc\r\n'],
    ['one to another command', 'HD\r\n'],
    ['that the command is not understood', 'CLIENT_ERROR bad command line format\r\n'],
    ['that the command is unknown', 'ERROR\r\n'],
  ])('that are %s end the connection, and all that was asked on it; the next one is served', async (_what, bytes) => {
    const { url, lines, sockets } = await impostor((_line, socket, connection) => {
      if (connection > 0) socket.write('EN\r\n');
      else if (lines[0]?.length === 3) socket.write(bytes);
    });
    const store = open({ url });
    const errors = await Promise.all(['{a}', '{b}', '{c}'].map((key) => outcomeOf(store.inspect(key))));
    // Of one too many, those before it are answers.
    const failed = errors.filter((error) => error !== undefined);
    expect(failed).toHaveLength(bytes.startsWith('EN') ? 0 : 3);
    for (const error of failed) {
      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect(error).not.toBeInstanceOf(RequestNotSentError);
      expect((error as Error).message).toMatch(/^the memcached store did not complete "inspect": /);
    }
    const says = failed.at(-1) as Error | undefined;
    if (says) expect(says.message).toContain("its answer is not Memcached's");
    expect(await store.inspect('{a}')).toBeUndefined();
    expect(lines).toHaveLength(2);
    expect(sockets.size).toBe(1);
  });

  it('that the server is out of memory refuse the one command, and nothing else', async () => {
    const { url, lines } = await impostor((line, socket) => {
      if (line.startsWith('mg')) socket.write('EN\r\n');
      if (line.startsWith('ms')) socket.write('SERVER_ERROR out of memory storing object\r\n');
    });
    const store = open({ url });
    const [refused, state] = await Promise.all([failure(store.acquire('{a}', asked('a'))), store.inspect('{b}')]);
    expect(refused).toMatchObject({ code: 'store_unavailable', reason: 'refused' });
    expect(state).toBeUndefined();
    expect(lines).toHaveLength(1);
  });
});

async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => error);
}

describe('keys and owners', () => {
  it.each([
    ['a line of its own', '{k}\r\nms pwned 1 T60\r\nx'],
    ['a flag', '{k} T0'],
    ['a tab', '{k\t}'],
    ['another script', '{ключ}'],
    ['251 characters', `{${'k'.repeat(243)}}`],
  ])('a key with %s is refused, and nothing of it reaches the server', async (_what, key) => {
    const store = open({ url: server.url });
    for (const call of [
      () => store.acquire(key, asked('a')),
      () => store.renew(key, 'a', 1000),
      () => store.release(key, 'a'),
      () => store.inspect(key),
      () => store.forceRelease(key),
    ])
      expect(await failure(call())).toMatchObject({ code: 'invalid_key' });
    expect(await server.command('mg pwned v')).toEqual(MISSED);
    expect((await store.acquire('{k}', asked('a'))).outcome).toBe('granted');
  });

  it('an owner is a value of its own length, whatever is in it', async () => {
    const store = open({ url: server.url });
    const owner = 'ä\r\nms pwned 1 T60\r\nx\r\n';
    expect((await store.acquire('{k}', asked(owner))).outcome).toBe('granted');
    expect((await store.inspect('{k}'))?.owner).toBe(owner);
    expect(await server.command('mg pwned v')).toEqual(MISSED);
    expect(await store.release('{k}', owner)).toBe('released');
  });

  it('the longest key of the engine fits under the longest prefix', async () => {
    const store = open({ url: server.url, prefix: 'p'.repeat(45) });
    const key = `{${'k'.repeat(198)}}`;
    expect((await store.acquire(key, asked('a'))).outcome).toBe('granted');
    expect(await server.command(`mg ${'p'.repeat(45)}:lk:${key} v`)).toEqual(['VA 1', 'a']);
  });
});

describe('the lease', () => {
  it('is asked for with two seconds more, by acquire, by a confirmation and by renew', async () => {
    const store = open({ url: server.url });
    /** Again if the clock of the server has moved on in between. */
    const expectAsked = async (seconds: number, ask: () => Promise<unknown>): Promise<void> => {
      let left: string | undefined;
      for (let tries = 0; tries < 5 && left !== `HD t${seconds}`; tries++) {
        await ask();
        [left] = await server.command('mg tc:lk:{k} t');
      }
      expect(left).toBe(`HD t${seconds}`);
    };
    await expectAsked(22, () => store.forceRelease('{k}').then(() => store.acquire('{k}', asked('a', 20_000))));
    await expectAsked(43, () => store.acquire('{k}', asked('a', 40_001)));
    await expectAsked(62, () => store.renew('{k}', 'a', 60_000));
    expect((await store.inspect('{k}'))?.remainingMs).toBeLessThanOrEqual(60_000);
  });

  it('never ends early, whenever in a second of the server it began, nor 2 s late', async () => {
    const store = open({ url: server.url });
    const lives = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        await sleep(i * 100);
        await store.acquire(`{k${i}}`, asked('a', 1000));
        const since = performance.now();
        while (await store.inspect(`{k${i}}`)) await sleep(5);
        return performance.now() - since;
      }),
    );
    expect(Math.min(...lives)).toBeGreaterThan(1000);
    expect(Math.max(...lives)).toBeLessThan(3000 + 300);
  });

  it('of a month is refused: the server would take its seconds for a date', async () => {
    const store = open({ url: server.url });
    const error = await failure(store.acquire('{k}', asked('a', 30 * 24 * 3600 * 1000)));
    expect(error).toBeInstanceOf(RequestNotSentError);
    expect(error.message).toContain('shorter than 30 days');
  });
});

describe('two sessions at once', () => {
  const ROUNDS = 150;
  const step: Array<[what: string, call: (store: LockStore) => Promise<unknown>]> = [
    ['a renewal', (store) => store.renew('{k}', 'a', 10_000)],
    ['a confirmation', (store) => store.acquire('{k}', asked('a'))],
    ['a release', (store) => store.release('{k}', 'a')],
  ];

  it.each(step)('%s that comes between leaves the lock to who has it by then', async (_what, call) => {
    const [late, other] = [open({ url: server.url }), open({ url: server.url })];
    await Promise.all([late.role(), other.role()]);
    let taken = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await other.acquire('{k}', asked('a'));
      const calling = call(late);
      // So that the others come now before, now between, now after its steps.
      for (let turns = round % 8; turns > 0; turns--) await new Promise(setImmediate);
      const [, answer] = await Promise.all([other.forceRelease('{k}'), other.acquire('{k}', asked('b')), calling]);
      if (answer.outcome === 'granted') {
        taken++;
        expect((await other.inspect('{k}'))?.owner).toBe('b');
      }
      await other.forceRelease('{k}');
    }
    expect(taken).toBeGreaterThan(ROUNDS / 10);
  });
});

describe('the connection', () => {
  it('is not there: nothing was sent, and that is said', async () => {
    const store = open({ url: `memcached://127.0.0.1:${await freePort()}` });
    const error = await failure(store.acquire('{k}', asked('a')));
    expect(error).toBeInstanceOf(RequestNotSentError);
    expect(error).toMatchObject({ reason: 'connection' });
  });

  it('is lost: what was sent may have been carried out', async () => {
    const { url } = await impostor((_line, socket) => socket.destroy());
    const error = await failure(open({ url }).acquire('{k}', asked('a')));
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect(error).not.toBeInstanceOf(RequestNotSentError);
  });

  it('is opened by who needs it, and seldom where that fails', async () => {
    let attempts = 0;
    const listening = createServer((socket) => {
      attempts++;
      socket.destroy();
    });
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    onTestFinished(() => void listening.close());
    const store = open({ url: `memcached://127.0.0.1:${(listening.address() as AddressInfo).port}` });
    const until = performance.now() + 1000;
    for (let calls = 0; performance.now() < until; calls++) await outcomeOf(store.inspect('{k}')).then(() => sleep(1));
    // After 0, 50, 150, 350 and 750 ms.
    expect(attempts).toBeGreaterThanOrEqual(4);
    expect(attempts).toBeLessThanOrEqual(6);
  });

  it('is not changed between a look at the lock and the step that follows: the next server counts its versions anew', async () => {
    const { url, lines } = await impostor((line, socket, connection) => {
      // It is lost in the very turn in which the lock was seen.
      if (connection === 0) socket.write('VA 1 c3 t9\r\na\r\nEN\r\n');
      else socket.write(line.startsWith('mg') ? 'VA 1 c3 t9\r\nb\r\n' : 'HD\r\n');
    });
    const store = open({ url });
    for (let tries = 0; tries < 3; tries++) await outcomeOf(store.renew('{k}', 'a', 1000));
    expect(lines.slice(1).flat().length).toBeGreaterThan(0);
    expect(
      lines
        .slice(1)
        .flat()
        .filter((line) => line.startsWith('ms')),
    ).toEqual([]);
  });

  it('takes the lock back for who did not hear that it has it, and adds none after that', async () => {
    // Its own lock of a lost reply, which is released between the look and the confirmation.
    const { url, lines } = await impostor((line, socket) => {
      if (line.startsWith('mg')) socket.write('VA 1 c3 t9\r\na\r\n');
      else if (line.startsWith('ms')) socket.write(line.includes('C3') ? 'NF\r\n' : 'NS\r\n');
    });
    const store = open({ url });
    const asking = outcomeOf(store.acquire('{k}', asked('a')));
    await sleep(50);
    await store.close();
    await asking;
    expect(lines.flat().filter((line) => line.endsWith(' ME'))).toHaveLength(1);
  });

  it('is given up when it is silent for two seconds while it is asked, and not while it is idle', async () => {
    const { url, lines } = await impostor((_line, socket, connection) => {
      if (connection > 0) socket.write('EN\r\n');
    });
    const store = open({ url });
    store.open({ handed() {}, connected() {}, missed() {} });
    await sleep(2200);
    expect(lines).toHaveLength(1);
    const began = performance.now();
    expect(await failure(store.inspect('{k}'))).toMatchObject({ reason: 'timeout' });
    expect(performance.now() - began).toBeGreaterThan(1900);
    expect(performance.now() - began).toBeLessThan(3500);
    expect(await store.inspect('{k}')).toBeUndefined();
  });

  it('is closed with what is under way on it', async () => {
    const { url } = await impostor(() => {});
    const store = open({ url });
    const asking = failure(store.inspect('{k}'));
    await sleep(50);
    await store.close();
    expect(await asking).toMatchObject({ reason: 'closed' });
    expect(await failure(store.inspect('{k}'))).toMatchObject({ reason: 'closed' });
  });
});

describe('an attempt to connect', () => {
  it('ends when the store is closed', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket.on('error', () => {}).resume()));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const store = open({ url: `memcached://127.0.0.1:${port}`, connectTimeout: 20_000 });
    const asking = failure(store.inspect('{k}'));
    await sleep(50);
    const ended = once(sockets[0] as Socket, 'close');
    await store.close();
    expect(await asking).toMatchObject({ reason: 'closed' });
    await ended;
  });
});

describe('who may log in', () => {
  const PASSWORD = 'hunter2ö/@?%';
  const encoded = encodeURIComponent(PASSWORD);
  let guarded: MemcachedServer;
  beforeAll(async () => {
    guarded = await MemcachedServer.start({ users: { other: 'x', app: PASSWORD } });
  });
  afterAll(() => guarded.stop());

  it.each([
    ['by URL', () => ({ url: guarded.url.replace('//', `//app:${encoded}@`) })],
    ['by options', () => ({ url: guarded.url, username: 'app', password: PASSWORD })],
  ])('is let in %s', async (_how, options) => {
    const store = open(options());
    expect((await store.acquire(`{${_how.length}}`, asked('a'))).outcome).toBe('granted');
  });

  it.each([
    ['without a password', {}, 'it asks for a user name and a password'],
    ['with a wrong one', { username: 'app', password: 'hunter2' }, 'it does not know this user name and password'],
    ['as somebody else', { username: 'nobody', password: PASSWORD }, 'it does not know this user name and password'],
  ])('is refused %s, at once', async (_how, options, message) => {
    const store = open({ url: guarded.url, ...options });
    const error = await failure(store.acquire('{k}', asked('a')));
    expect(error).toBeInstanceOf(RequestNotSentError);
    expect(error).toMatchObject({ reason: 'refused' });
    expect(error.message).toContain(message);
    expect(`${error.message} ${error.stack} ${JSON.stringify(error)}`).not.toContain('hunter2');
  });

  it('has no password that is printed with the store', async () => {
    const store = open({ url: guarded.url, username: 'app', password: PASSWORD });
    await store.role();
    const printed = inspect(store, { depth: Infinity });
    expect(printed).toContain('memcached');
    expect(printed).not.toContain('hunter2');
  });

  it('tells no password to a server that does not ask for one', async () => {
    const store = open({ url: server.url, username: 'app', password: 'hunter2' });
    expect((await store.acquire('{k}', asked('a'))).outcome).toBe('granted');
    expect(await server.command('mg auth v')).toEqual(MISSED);
    expect(server.log).not.toContain('set auth');
  });
});

describe('TLS', () => {
  const { cert, key } = selfSignedCertificate();
  let secure: MemcachedServer;
  beforeAll(async () => {
    secure = await MemcachedServer.start({ tls: { cert, key }, users: { app: 'pw' } });
  });
  afterAll(() => secure.stop());
  const url = (scheme: string): string => secure.url.replace('memcached://', `${scheme}://app:pw@`);

  it.each([
    ['by its scheme', () => ({ url: url('memcacheds'), tls: { ca: cert } })],
    ['by its option', () => ({ url: url('memcached'), tls: { ca: cert } })],
  ])('is spoken where it is asked for %s', async (how, options) => {
    const store = open(options());
    expect((await store.acquire(`{${how.length}}`, asked('a'))).outcome).toBe('granted');
  });

  it.each([
    ['whose certificate nobody vouches for', () => ({ url: url('memcacheds') })],
    ['that speaks TLS, in plain text', () => ({ url: url('memcached'), connectTimeout: 300 })],
    ['that speaks plain text, in TLS', () => ({ url: server.url, tls: true, connectTimeout: 300 })],
  ])('a server %s is not talked to', async (_what, options) => {
    const began = performance.now();
    const error = await failure(open(options()).acquire('{k}', asked('a')));
    expect(error).toBeInstanceOf(RequestNotSentError);
    expect(performance.now() - began).toBeLessThan(1500);
  });
});

describe('options', () => {
  it.each([
    [{ url: 'redis://h' }, 'invalid_url', 'it must look like memcached://'],
    [{ url: 'memcached://' }, 'invalid_url', 'it must look like memcached://'],
    [{ url: 'memcached://u:hunter2@h:x' }, 'invalid_url', 'it must look like memcached://'],
    [{ url: 'memcached://u:hunter2@h/0' }, 'invalid_url', 'Memcached has no databases'],
    [{ url: 'memcached://u:hunter2@h?ttl=1' }, 'invalid_url', 'Memcached has no databases'],
    [{ url: 'memcached://u:hunter2%zz@h' }, 'invalid_url', 'percent-encoded'],
    [{ url: 'memcached://:hunter2@h' }, 'invalid_memcached_options', 'go together'],
    [{ username: 'u' }, 'invalid_memcached_options', 'go together'],
    [{ username: 'u u', password: 'hunter2' }, 'invalid_memcached_options', 'no white space'],
    [{ username: 'u', password: 'hunter2 x' }, 'invalid_memcached_options', 'no white space'],
    [{ username: 'u', password: 'hunter2\r\nmn' }, 'invalid_memcached_options', 'no control characters'],
    [{ prefix: 'a b' }, 'invalid_memcached_options', 'prefix must be'],
    [{ prefix: 'p'.repeat(46) }, 'invalid_memcached_options', 'prefix must be'],
    [{ connectTimeout: 0 }, 'invalid_memcached_options', 'connectTimeout must be'],
    [{ connectTimeout: 2 ** 31 }, 'invalid_memcached_options', 'connectTimeout must be'],
    [{ url: 'memcacheds://h', tls: false }, 'invalid_memcached_options', 'memcacheds:// means TLS'],
  ])('%o are refused, without their secrets', async (options, code, message) => {
    const error = await failure((async () => memcachedLocks(options))());
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(message);
    expect(error.message).not.toContain('hunter2');
  });
});
