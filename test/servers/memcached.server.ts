import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free.port.js';
import { ensureMemcachedBinary } from './memcached.binary.js';
import { memcachedCommand } from './memcached.command.js';
import { ProcessReaper } from './process.reaper.js';
import { ServerProcess } from './server.process.js';

const START_TIMEOUT_MS = 15_000;

/** How to start a {@link MemcachedServer}. */
export interface MemcachedServerOptions {
  /** More command line arguments, after the harness's own, e.g. `['-m', '4']`. */
  readonly args?: readonly string[];
  /** Who may log in (`-Y`), by name. Default: nobody has to. */
  readonly users?: Readonly<Record<string, string>>;
  /** PEM texts; with them it speaks TLS only (`-Z`). */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/**
 * A real memcached on a loopback port. It does not outlive the process that started it.
 * @example await using memcached = await MemcachedServer.start({ users: { app: 'secret' } });
 */
export class MemcachedServer {
  #process: ServerProcess | undefined;

  private constructor(
    readonly port: number,
    /** Of its files; removed by `stop()`. */
    readonly directory: string,
    private readonly args: readonly string[],
    private readonly isPlain: boolean,
  ) {}

  /** @throws Error with the end of its log when it does not come up */
  static async start(options: MemcachedServerOptions = {}): Promise<MemcachedServer> {
    const directory = await mkdtemp(join(tmpdir(), 'tc-memcached-'));
    ProcessReaper.get().holdDirectory(directory);
    const args = [...(await filesOf(options, directory)), ...(options.args ?? [])];
    for (let attempt = 1; ; attempt++) {
      const isPlain = !options.users && !options.tls;
      const server = new MemcachedServer(await freePort(), directory, args, isPlain);
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

  /** Without user and password. */
  get url(): string {
    return `memcached://127.0.0.1:${this.port}`;
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
    await this.kill();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** Kills the server if it runs and starts it again, empty, on the same port with the same arguments. */
  async restart(): Promise<void> {
    await this.kill();
    await this.#spawn();
  }

  /** SIGSTOP: connections stay open, the kernel still accepts new ones, nothing is answered. */
  pause(): void {
    this.#process?.signal('SIGSTOP');
  }

  /** SIGCONT: what was sent meanwhile is answered now. */
  resume(): void {
    this.#process?.signal('SIGCONT');
  }

  /** The lines that a command on a connection of its own is answered. Only without `users` and `tls`. @example await server.command('mg k v') */
  command(line: string, data?: string): Promise<string[]> {
    if (!this.isPlain) throw new Error('this server asks for a password, or for TLS');
    return memcachedCommand(this.port, line, data);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #spawn(): Promise<void> {
    // Twice verbose: else it does not say when it listens.
    const own = ['-l', '127.0.0.1', '-p', `${this.port}`, '-U', '0', '-m', '16', '-t', '2', '-vv'];
    const asUser = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    this.#process = new ServerProcess(ensureMemcachedBinary(), [...own, ...asUser, ...this.args], this.directory);
    await this.#process.logged('server listening', START_TIMEOUT_MS);
  }
}

/** It is somebody else by the time it reads them. */
async function filesOf({ users, tls }: MemcachedServerOptions, directory: string): Promise<string[]> {
  await chmod(directory, 0o711);
  const write = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, text, { mode: 0o644 });
    return path;
  };
  const args: string[] = [];
  if (users) {
    const lines = Object.entries(users).map(([name, password]) => `${name}:${password}\n`);
    args.push('-Y', await write('users', lines.join('')));
  }
  if (tls) {
    const [cert, key] = [await write('cert.pem', tls.cert), await write('key.pem', tls.key)];
    args.push('-Z', '-o', `ssl_chain_cert=${cert},ssl_key=${key}`);
  }
  return args;
}
