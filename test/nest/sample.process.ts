import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { json } from 'node:stream/consumers';
import { ProcessReaper } from '../servers/process.reaper.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Answered {
  readonly status: number;
  readonly tier: string | null;
  readonly serverTiming: string | null;
  /** As the server measured it. */
  readonly ms: number;
  readonly body: Record<string, unknown>;
}

function answeredBy(status: number, headers: Headers): Omit<Answered, 'body'> {
  return {
    status,
    tier: headers.get('x-cache-tier') ?? tierOf(headers.get('cache-status')),
    serverTiming: headers.get('server-timing'),
    ms: Number(headers.get('x-response-time-ms')),
  };
}

/** Of a cached response: `tiered-cache; hit; ttl=59; detail=memory`. */
function tierOf(cacheStatus: string | null): string | null {
  if (cacheStatus === null) return null;
  return /; hit;.*; detail=(\w+)/.exec(cacheStatus)?.[1] ?? 'loader';
}

/** A compiled sample, running on a free port in a process of its own that does not outlive this one. */
export class SampleProcess {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
    readonly output: readonly string[],
  ) {}

  /** Resolves when it has printed a line that begins with `readyLine`. @throws Error with its output if it ends before */
  static async start(name: string, readyLine: string, env: Record<string, string> = {}): Promise<SampleProcess> {
    const child = spawn(process.execPath, [`${ROOT}dist/sample/${name}/main.js`], {
      cwd: ROOT,
      env: { ...process.env, PORT: '0', HOST: '127.0.0.1', NO_COLOR: '1', CACHE_URL: '', ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    ProcessReaper.get().hold(child.pid as number);
    const output: string[] = [];
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const isReady = await new Promise<boolean>((resolve) => {
      lines.on('line', (line) => {
        output.push(line);
        if (line.startsWith(readyLine)) resolve(true);
      });
      lines.once('close', () => resolve(false));
    });
    const port = /http:\/\/localhost:(\d+)/.exec(output.join('\n'))?.[1];
    if (!isReady || port === undefined) throw new Error(`sample ${name} did not start:\n${output.join('\n')}`);
    return new SampleProcess(child, `http://127.0.0.1:${port}`, output);
  }

  /** As behind a load balancer: under the name of the site, which `fetch` does not let one say. */
  async getAs(host: string, path: string, more: Record<string, string> = {}): Promise<Answered> {
    const request = http.get(this.url + path, { headers: { host, ...more } });
    const [message] = (await once(request, 'response')) as [http.IncomingMessage];
    const headers = new Headers(message.headers as Record<string, string>);
    const body = (await json(message)) as Record<string, unknown>;
    return { ...answeredBy(message.statusCode as number, headers), body };
  }

  async get(path: string, init: RequestInit = {}): Promise<Answered> {
    const response = await fetch(this.url + path, init);
    const body = (await response.json()) as Record<string, unknown>;
    return { ...answeredBy(response.status, response.headers), body };
  }

  /** SIGSTOP or SIGCONT, as if the machine had held it up. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.child.kill(name);
  }

  /** Sends a signal and resolves to the exit code, or the signal that ended it. */
  async stop(signal: NodeJS.Signals): Promise<number | string | null> {
    const { child } = this;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    ProcessReaper.get().release(child.pid as number);
    return child.exitCode ?? child.signalCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
  }
}
