import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free.port.js';
import { ensurePostgresBinary, type PostgresBinary } from './postgres.binary.js';
import { createCluster, POSTGRES_USER } from './postgres.cluster.js';
import { ServerProcess } from './server.process.js';

const START_TIMEOUT_MS = 30_000;

/** How to start a {@link PostgresServer}. */
export interface PostgresServerOptions {
  /** Server settings, e.g. `{ deadlock_timeout: '100ms' }`. */
  settings?: Record<string, string>;
}

/**
 * A real PostgreSQL on a loopback port, with data of its own that is never flushed to disk. It does not outlive the process that started
 * it; the backends end by themselves when their postmaster is gone.
 * @example await using postgres = await PostgresServer.start();
 */
export class PostgresServer {
  #process: ServerProcess | undefined;

  private constructor(
    readonly port: number,
    /** Of its data; removed by `stop()`. */
    readonly directory: string,
    private readonly binary: PostgresBinary,
    private readonly settings: Record<string, string>,
  ) {}

  /** @throws Error with the end of the server's log when it does not come up */
  static async start({ settings = {} }: PostgresServerOptions = {}): Promise<PostgresServer> {
    const binary = ensurePostgresBinary();
    const directory = await createCluster(binary);
    for (let attempt = 1; ; attempt++) {
      const server = new PostgresServer(await freePort(), directory, binary, settings);
      try {
        await server.#spawn();
        return server;
      } catch (error) {
        await server.kill();
        if (attempt < 10 && server.log.includes('Address already in use')) continue;
        await server.stop();
        throw error;
      }
    }
  }

  get url(): string {
    return `postgres://${POSTGRES_USER}@127.0.0.1:${this.port}/postgres`;
  }

  /** Process id, or `undefined` while it is not running. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What the current (or last) process wrote, at most its last 64 KB. */
  get log(): string {
    return this.#process?.log ?? '';
  }

  /** Ends the server for good and removes its data. Idempotent. */
  async stop(): Promise<void> {
    // "Immediate shutdown": the backends go first, and no shared memory stays behind.
    this.#process?.signal('SIGQUIT');
    await this.#process?.exited;
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** SIGKILL; resolves when the process is gone. Its data stay for `restart()`. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** Crashes the server, which loses no commit, and starts it again on the same port. */
  async restart(): Promise<void> {
    this.#process?.signal('SIGQUIT');
    await this.#process?.exited;
    await this.#spawn();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #spawn(): Promise<void> {
    const { bin, env, user } = this.binary;
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: 'off',
      full_page_writes: 'off',
      shared_buffers: '16MB',
      // Shared memory as files among the data: a SIGKILL leaves none of it elsewhere.
      dynamic_shared_memory_type: 'mmap',
      autovacuum: 'off',
      ...this.settings,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const program = { path: join(bin, 'postgres'), env: { ...env, LC_ALL: 'C' }, user };
    this.#process = new ServerProcess(program, ['-D', this.directory, '-p', `${this.port}`, ...args], this.directory);
    await this.#process.logged('database system is ready to accept connections', START_TIMEOUT_MS);
  }
}
