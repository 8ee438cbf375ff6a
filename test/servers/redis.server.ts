import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free.port.js';
import { ProcessReaper } from './process.reaper.js';
import { findRedisBinary } from './redis.binary.js';
import { redisCommand } from './redis.command.js';
import { ServerProcess } from './server.process.js';

const READY = 'Ready to accept connections';
const LISTENING = 'Server initialized';
const START_TIMEOUT_MS = 15_000;

/** How to start a {@link RedisServer}. */
export interface RedisServerOptions {
  /** More command line arguments, after the harness's own, e.g. `['--maxmemory', '1mb']`. */
  args?: readonly string[];
  /** Default: a free one. */
  port?: number;
  /** For the default user. Default: none. */
  password?: string;
  /** `false`: do not wait until the data is loaded, only until the port answers. Default `true`. */
  waitReady?: boolean;
}

/**
 * A real redis-server on a loopback port, in a directory of its own, without persistence unless `args` ask for it. It does not outlive
 * the process that started it.
 * @example await using redis = await RedisServer.start({ args: ['--maxmemory', '2mb'] });
 */
export class RedisServer {
  #process: ServerProcess | undefined;
  #stopped = false;

  private constructor(
    readonly port: number,
    /** Working directory of the server; removed by `stop()`. */
    readonly directory: string,
    private readonly options: RedisServerOptions,
  ) {}

  /** @throws Error with the end of the server's log when it does not come up */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), 'tc-redis-'));
    ProcessReaper.get().holdDirectory(directory);
    for (let attempt = 1; ; attempt++) {
      const server = new RedisServer(options.port ?? (await freePort()), directory, options);
      try {
        await server.#spawn(options.waitReady ?? true);
        return server;
      } catch (error) {
        await server.kill();
        if (options.port === undefined && attempt < 10 && server.log.includes('Address already in use')) continue;
        await server.stop();
        throw error;
      }
    }
  }

  /** `redis://` address, with the password if there is one. */
  get url(): string {
    const { password } = this.options;
    return `redis://${password === undefined ? '' : `:${encodeURIComponent(password)}@`}127.0.0.1:${this.port}`;
  }

  /** Process id, or `undefined` while it is not running. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What the current (or last) process wrote, at most its last 64 KB. */
  get log(): string {
    return this.#process?.log ?? '';
  }

  /** Ends the server for good and removes its directory. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.kill();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** SIGKILL; resolves when the process is gone. Its files stay for `restart()`. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** Kills the server if it runs and starts it again on the same port, in the same directory, with the same arguments. */
  async restart(options: { waitReady?: boolean } = {}): Promise<void> {
    if (this.#stopped) throw new Error('this server was stopped for good; use kill() before restart()');
    await this.kill();
    await this.#spawn(options.waitReady ?? true);
  }

  /** Resolves when the data is loaded. Only of use after `waitReady: false`. */
  ready(): Promise<void> {
    return this.#logged(READY);
  }

  /** SIGSTOP: connections stay open, the kernel still accepts new ones, nothing is answered. */
  pause(): void {
    this.#process?.signal('SIGSTOP');
  }

  /** SIGCONT: what was sent meanwhile is answered now. */
  resume(): void {
    this.#process?.signal('SIGCONT');
  }

  /** One command on a connection of its own. @throws Error with the server's message */
  command(...args: Array<string | number | Uint8Array>): Promise<unknown> {
    return redisCommand({ port: this.port, password: this.options.password }, args);
  }

  /** `CONFIG SET`. */
  async config(key: string, value: string | number): Promise<void> {
    await this.command('CONFIG', 'SET', key, value);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #spawn(waitReady: boolean): Promise<void> {
    const binary = findRedisBinary();
    if (!binary) throw new Error('no redis-server found; vitest installs it in test/servers/global-setup.ts');
    const { password, args = [] } = this.options;
    const own = [
      '--port',
      `${this.port}`,
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      this.directory,
    ];
    if (binary.major >= 7) own.push('--enable-debug-command', 'local');
    if (password !== undefined) own.push('--requirepass', password);
    this.#process = new ServerProcess(binary, [...own, ...args], this.directory);
    await this.#logged(waitReady ? READY : LISTENING);
  }

  async #logged(text: string): Promise<void> {
    await this.#process?.logged(text, START_TIMEOUT_MS);
  }
}
