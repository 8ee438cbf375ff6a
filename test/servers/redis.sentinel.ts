import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free.port.js';
import { ProcessReaper } from './process.reaper.js';
import { findRedisBinary } from './redis.binary.js';
import { redisCommand } from './redis.command.js';
import { RedisServer } from './redis.server.js';
import { ServerProcess } from './server.process.js';

const LIMIT_MS = 15_000;

/**
 * A real sentinel that watches a master and its replica, all on loopback ports. A master that is silent for half a second is replaced.
 * @example await using group = await RedisSentinel.start(); await group.master.kill();
 */
export class RedisSentinel {
  /** What the sentinel calls the master. */
  readonly name = 'group';

  private constructor(
    readonly port: number,
    /** At the beginning. */
    readonly master: RedisServer,
    /** At the beginning. */
    readonly replica: RedisServer,
    private readonly directory: string,
    private readonly process: ServerProcess,
  ) {}

  /** @throws Error when the sentinel does not find the replica */
  static async start(): Promise<RedisSentinel> {
    const args = ['--repl-diskless-sync-delay', '0'];
    const [master, replica] = await Promise.all([RedisServer.start({ args }), RedisServer.start({ args })]);
    await replica.command('REPLICAOF', '127.0.0.1', master.port);
    await until(async () => String(await replica.command('INFO', 'replication')).includes('link_status:up'));
    // A link that is up stays silent until the replica's next sign of life.
    await master.command('SET', 'followed', 'yes');
    await until(async () => (await replica.command('GET', 'followed')) === 'yes');
    const directory = await mkdtemp(join(tmpdir(), 'tc-sentinel-'));
    ProcessReaper.get().holdDirectory(directory);
    const port = await freePort();
    const file = join(directory, 'sentinel.conf');
    const settings = [`monitor group 127.0.0.1 ${master.port} 1`, 'down-after-milliseconds group 500'];
    settings.push('failover-timeout group 3000');
    const lines = [`port ${port}`, 'bind 127.0.0.1', `dir ${directory}`, ...settings.map((line) => `sentinel ${line}`)];
    await writeFile(file, `${lines.join('\n')}\n`);
    const binary = findRedisBinary();
    if (!binary) throw new Error('no redis-server found; vitest installs it in test/servers/global-setup.ts');
    const process = new ServerProcess(binary, [file, '--sentinel'], directory);
    const group = new RedisSentinel(port, master, replica, directory, process);
    try {
      await process.logged('+monitor', LIMIT_MS);
      await until(async () => String(await group.command('REPLICAS', group.name)).includes('master-link-status,ok'));
      return group;
    } catch (error) {
      await group.stop();
      throw error;
    }
  }

  /** What ioredis is to be told. */
  get connection(): { sentinels: Array<{ host: string; port: number }>; name: string } {
    return { sentinels: [{ host: '127.0.0.1', port: this.port }], name: this.name };
  }

  /** `SENTINEL ...`. @throws Error with its message */
  command(...args: Array<string | number>): Promise<unknown> {
    return redisCommand({ port: this.port }, ['SENTINEL', ...args]);
  }

  /** Who is connected to the sentinel; whoever asks is among them. */
  clients(): Promise<unknown> {
    return redisCommand({ port: this.port }, ['CLIENT', 'LIST']);
  }

  /** Resolves when the replica is the master, and the sentinel has said so. */
  async failedOver(): Promise<void> {
    await until(async () => String(await this.command('MASTER', this.name)).includes(`,port,${this.replica.port},`));
  }

  /** From now on the replica misses what is written. */
  async lag(): Promise<void> {
    await this.master.command('ACL', 'SETUSER', 'default', '-psync', '-sync');
    await this.master.command('CLIENT', 'KILL', 'TYPE', 'replica');
  }

  async stop(): Promise<void> {
    await this.process.kill();
    await Promise.all([this.master.stop(), this.replica.stop()]);
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`still not so after ${LIMIT_MS} ms`);
    await sleep(20);
  }
}
