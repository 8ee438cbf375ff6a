import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

/** One process of the application, on a port of its own, started anew after each SIGKILL. */
export class ApplicationProcess {
  private child: ChildProcess | undefined;
  private address: string | undefined;

  /** Where it answers, if it lives; it may be stopped all the same. */
  get url(): string | undefined {
    return this.address;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** @throws Error if it ends before it listens */
  async start(): Promise<void> {
    const env = { ...process.env, PORT: '0', HOST: '127.0.0.1', PROVIDER_MS: process.env['PROVIDER_MS'] || '10' };
    const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    this.child = child;
    for await (const line of createInterface({ input: child.stdout })) {
      const port = /http:\/\/localhost:(\d+)/.exec(line)?.[1];
      if (port === undefined) continue;
      this.address = `http://127.0.0.1:${port}`;
      return;
    }
    throw new Error('a process of the application ended before it listened');
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.child?.kill(name);
  }

  /** SIGTERM lets it finish what it is at. */
  async end(name: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { child } = this;
    this.address = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(name);
    await ended;
  }
}
