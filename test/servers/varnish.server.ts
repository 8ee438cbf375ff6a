import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free.port.js';
import { ProcessReaper } from './process.reaper.js';
import { ServerProcess } from './server.process.js';
import { ensureVarnishBinary } from './varnish.binary.js';

const START_TIMEOUT_MS = 60_000;

/** How to start a {@link VarnishServer}. */
export interface VarnishServerOptions {
  /** The port, of the loopback interface, of what it stands in front of. */
  readonly backend: number;
  /** VCL besides the backend's. */
  readonly vcl: string;
}

/**
 * A real Varnish on a loopback port, in front of a server on another one. It does not outlive the process that started it.
 * @example await using varnish = await VarnishServer.start({ backend: port, vcl: 'sub vcl_recv {}' });
 */
export class VarnishServer {
  private constructor(
    readonly port: number,
    private readonly directory: string,
    private readonly process: ServerProcess,
  ) {}

  /** @throws Error with the end of its log when it does not come up */
  static async start({ backend, vcl }: VarnishServerOptions): Promise<VarnishServer> {
    const program = ensureVarnishBinary();
    const directory = await mkdtemp(join(tmpdir(), 'tc-varnish-'));
    ProcessReaper.get().holdDirectory(directory);
    const file = join(directory, 'test.vcl');
    const head = `vcl 4.1;\nbackend default { .host = "127.0.0.1"; .port = "${backend}"; }\n`;
    await writeFile(file, head + vcl);
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      // In the foreground and unjailed: as root it would else become another user, who may not read our folder.
      const own = ['-F', '-j', 'none', '-n', join(directory, 'run'), '-a', `127.0.0.1:${port}`, '-T', 'none'];
      const server = new VarnishServer(
        port,
        directory,
        new ServerProcess(program, [...own, '-f', file, '-s', 'default,16m'], directory),
      );
      try {
        await server.process.logged('said Child starts', START_TIMEOUT_MS);
        return server;
      } catch (error) {
        await server.process.kill();
        if (attempt < 10 && server.process.log.includes('Address already in use')) continue;
        await server.stop();
        throw error;
      }
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Ends the server for good and removes its directory. Idempotent. */
  async stop(): Promise<void> {
    await this.process.kill();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
