import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemcachedServer } from './memcached.server.js';
import { RedisServer } from './redis.server.js';

const here = fileURLToPath(new URL('.', import.meta.url));

describe('RedisServer', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start({ password: 'p@ss/word', args: ['--maxmemory', '64mb'] });
  });
  afterAll(() => redis.stop());

  it('starts on a loopback port of its own with the given arguments', async () => {
    expect(redis.url).toBe(`redis://:p%40ss%2Fword@127.0.0.1:${redis.port}`);
    expect(await redis.command('PING')).toBe('PONG');
    expect(await redis.command('CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', String(64 * 2 ** 20)]);
    expect(await redis.command('CONFIG', 'GET', 'bind')).toEqual(['bind', '127.0.0.1']);
  });

  it('answers commands of every reply type, and reports error replies', async () => {
    await redis.command('SET', 'k', Buffer.from('vä\r\nlue'));
    expect(await redis.command('GET', 'k')).toBe('vä\r\nlue');
    expect(await redis.command('GET', 'missing')).toBeNull();
    expect(await redis.command('EVAL', 'return {1,{"a",false},{}}', 0)).toEqual([1, ['a', null], []]);
    expect(await redis.command('DEBUG', 'SLEEP', 0)).toBe('OK');
    const big = 'x'.repeat(300_000);
    await redis.command('SET', 'big', big);
    expect(await redis.command('GET', 'big')).toBe(big);
    await expect(redis.command('NONSENSE')).rejects.toThrow(/ERR unknown command/);
  });

  it('changes settings while it runs', async () => {
    await redis.config('maxmemory-policy', 'allkeys-lru');
    expect(await redis.command('CONFIG', 'GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'allkeys-lru']);
  });

  it('answers nothing while paused, and afterwards what was asked meanwhile', async () => {
    redis.pause();
    const answer = redis.command('PING');
    expect(await Promise.race([answer, sleep(100, 'nothing')])).toBe('nothing');
    redis.resume();
    expect(await answer).toBe('PONG');
  });

  it('is gone after kill() and back, empty, on the same port after restart()', async () => {
    const { pid, port } = redis;
    await redis.command('SET', 'k', 'v');
    await redis.kill();
    expect(isRunning(pid)).toBe(false);
    await expect(redis.command('PING')).rejects.toThrow('ECONNREFUSED');
    await redis.restart();
    expect(redis.port).toBe(port);
    expect(redis.pid).not.toBe(pid);
    expect(await redis.command('GET', 'k')).toBeNull();
    await redis.restart();
    expect(await redis.command('PING')).toBe('PONG');
  });

  it('can be used while it still loads its data', async () => {
    await using slow = await RedisServer.start({
      args: ['--key-load-delay', '100', '--loading-process-events-interval-bytes', '1024'],
    });
    await slow.command('DEBUG', 'POPULATE', 4000);
    await slow.command('SAVE');
    await slow.restart({ waitReady: false });
    await expect(slow.command('GET', 'k')).rejects.toThrow('LOADING');
    await slow.ready();
    expect(await slow.command('DBSIZE')).toBe(4000);
  });

  it('tells the log when it cannot start, and removes its directory on stop', async () => {
    await expect(RedisServer.start({ args: ['--no-such-setting', '1'] })).rejects.toThrow(/no-such-setting/);
    await expect(RedisServer.start({ port: redis.port })).rejects.toThrow(/Address already in use/);
    const other = await RedisServer.start();
    const { pid, directory } = other;
    await other.stop();
    await other.stop();
    expect(isRunning(pid)).toBe(false);
    expect(existsSync(directory)).toBe(false);
    await expect(other.restart()).rejects.toThrow('stopped for good');
  });
});

describe('MemcachedServer', () => {
  it('starts on a loopback port of its own, hangs, goes on, and comes back empty', async () => {
    await using memcached = await MemcachedServer.start();
    expect(await memcached.command('ms k 2 T60', 'hi')).toEqual(['HD']);
    expect(await memcached.command('mg k v')).toEqual(['VA 2', 'hi']);
    memcached.pause();
    const answer = memcached.command('mg k v');
    expect(await Promise.race([answer, sleep(100, 'nothing')])).toBe('nothing');
    memcached.resume();
    expect(await answer).toEqual(['VA 2', 'hi']);
    const { pid, port } = memcached;
    await memcached.restart();
    expect(isRunning(pid)).toBe(false);
    expect(memcached.port).toBe(port);
    expect(await memcached.command('mg k v')).toEqual(['EN']);
  });

  it('is gone after stop(), with its directory, and tells the log when it cannot start', async () => {
    const memcached = await MemcachedServer.start();
    const { pid, directory } = memcached;
    await memcached.stop();
    await memcached.stop();
    expect(isRunning(pid)).toBe(false);
    expect(existsSync(directory)).toBe(false);
    await expect(MemcachedServer.start({ args: ['--no-such-setting'] })).rejects.toThrow('no-such-setting');
  });
});

describe('clean-up after a crash', () => {
  let folder: string;
  // A child process cannot load TypeScript, so the harness is compiled for it; it needs nothing but Node itself.
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tc-harness-'));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    const options = { module: ts.ModuleKind.ES2022, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true };
    for (const name of (await readdir(here)).filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))) {
      const { outputText } = ts.transpileModule(await readFile(join(here, name), 'utf8'), { compilerOptions: options });
      await writeFile(join(folder, name.replace(/ts$/, 'js')), outputText);
    }
    await writeFile(
      join(folder, 'crash.js'),
      `import { PostgresServer } from './postgres.server.js';
       import { MemcachedServer } from './memcached.server.js';
       import { RedisServer } from './redis.server.js';
       import { forkWorker } from './worker.process.js';
       const redis = await RedisServer.start();
       const paused = await RedisServer.start();
       const postgres = await PostgresServer.start();
       const memcached = await MemcachedServer.start();
       const worker = await forkWorker(process.argv[2]);
       await worker.kill('SIGSTOP');
       paused.pause();
       process.send({ pids: [redis.pid, paused.pid, postgres.pid, memcached.pid, worker.pid], folders: [redis.directory, paused.directory, postgres.directory, memcached.directory] });`,
    );
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function crash(end: (child: ReturnType<typeof fork>) => void): Promise<void> {
    const child = fork(join(folder, 'crash.js'), [join(here, 'workers/echo.mjs')], { execArgv: [] });
    const [{ pids, folders }] = (await once(child, 'message')) as [{ pids: number[]; folders: string[] }];
    expect(pids.map(isRunning)).toEqual(pids.map(() => true));
    expect(pids).toHaveLength(5);
    const exit = once(child, 'exit');
    end(child);
    await exit;
    const left = () => [...pids.filter(isRunning), ...folders.filter((path) => existsSync(path))];
    await expect.poll(left, { timeout: 5000, interval: 10 }).toEqual([]);
  }

  it('leaves nothing behind when the process is SIGKILLed, not even what is stopped', () =>
    crash((child) => child.kill('SIGKILL')));

  it('leaves nothing behind when only the parent of a test process dies', () => crash((child) => child.disconnect()));
});

/** A zombie whose parent has not collected it yet has ended all the same. */
function isRunning(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
