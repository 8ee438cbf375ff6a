import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { basename } from 'node:path';
import { ProcessReaper } from './process.reaper.js';

const LOG_BYTES = 65_536;

/** What to run, and as whom. */
export interface ServerProgram {
  path: string;
  /** What it needs besides the usual environment. */
  env: Record<string, string>;
  /** For servers that refuse to run as root. */
  user?: { uid: number; gid: number } | undefined;
}

/** One run of a server: from its spawn to its end. Dies with this process at the latest. */
export class ServerProcess {
  /** Resolves when the process, and all that it wrote, has ended. */
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();
  #running = true;
  #log = '';

  constructor(
    private readonly program: ServerProgram,
    args: readonly string[],
    directory: string,
  ) {
    // A group of its own: kill() then also reaches a BGSAVE child, and Ctrl-C in the terminal is left to the test runner.
    const child = spawn(program.path, args, {
      cwd: directory,
      env: { ...process.env, ...program.env },
      ...program.user,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const { pid } = child;
    if (pid !== undefined) ProcessReaper.get().hold(pid);
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#append(text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.#append(text));
    child.once('error', (error) => this.#append(error.message));
    child.once('exit', () => pid !== undefined && ProcessReaper.get().release(pid));
    this.exited = new Promise((resolve) => {
      child.once('close', () => {
        this.#running = false;
        this.#append('');
        resolve();
      });
    });
  }

  /** `undefined` once it has ended. */
  get pid(): number | undefined {
    return this.#running ? this.#child.pid : undefined;
  }

  /** What it wrote, at most the last 64 KB. */
  get log(): string {
    return this.#log;
  }

  /** Resolves as soon as the log contains `text`. @throws Error with the end of the log when the process ends, or time is up, before */
  logged(text: string, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (problem?: string) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (problem === undefined) resolve();
        else reject(new Error(`${basename(this.program.path)} ${problem}:\n${this.#log.slice(-2000)}`));
      };
      const look = () => {
        if (this.#log.includes(text)) settle();
        else if (!this.#running) settle(`ended before it logged "${text}"`);
      };
      const timer = setTimeout(() => settle(`did not log "${text}" within ${timeoutMs} ms`), timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }

  /** To the server alone. */
  signal(name: NodeJS.Signals): void {
    if (this.#running) this.#child.kill(name);
  }

  /** SIGKILL to the server and its children; resolves when they are gone. */
  async kill(): Promise<void> {
    const { pid } = this;
    try {
      if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    await this.exited;
  }

  #append(text: string): void {
    this.#log = (this.#log + text).slice(-LOG_BYTES);
    for (const look of this.#watchers) look();
  }
}
