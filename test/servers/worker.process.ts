import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { ProcessReaper } from './process.reaper.js';

export { compiledEntry } from './compiled.entry.js';

/** How to start a {@link WorkerProcess}. */
export interface WorkerOptions {
  /** Added to the environment of this process. */
  env?: Record<string, string>;
  /** Passed to the script as `process.argv.slice(2)`. */
  args?: readonly string[];
}

/** An answer of test/servers/workers/serve.mjs. */
type Answer =
  | { ready: true }
  | { id: number; result: unknown }
  | { id: number; error: { message: string; name: string; code?: string } };

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** A real child process that answers calls; see {@link forkWorker}. */
export class WorkerProcess {
  /** Resolves with the exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #end: string | undefined;
  #stderr = '';

  constructor(script: string, { env = {}, args = [] }: WorkerOptions) {
    const child = fork(script, [...args], {
      env: { ...process.env, ...env },
      execArgv: [],
      detached: true,
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    this.#child = child;
    const { pid } = child;
    if (pid !== undefined) ProcessReaper.get().hold(pid);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr = (this.#stderr + text).slice(-4000)));
    child.on('message', (answer: Answer) => this.#answer(answer));
    child.on('error', () => undefined);
    this.exited = new Promise((resolve) => {
      child.once('exit', () => pid !== undefined && ProcessReaper.get().release(pid));
      child.once('close', (code: number | null, signal: NodeJS.Signals | null) => {
        this.#end = `the worker ${script} ended (${signal ?? `exit code ${code}`}) ${this.#stderr}`.trimEnd();
        for (const { reject } of this.#pending.values()) reject(new Error(this.#end));
        this.#pending.clear();
        resolve(signal ?? code ?? -1);
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Resolves when the script serves. @throws Error with the end of its stderr when it ends before */
  ready(): Promise<void> {
    return this.#expect(0);
  }

  /**
   * Calls a method of the worker. Arguments and results are structured clones: Buffers arrive as Uint8Arrays, dates and maps as such.
   * @throws Error with the `name`, `message` and `code` of the worker's error, or telling that the worker has ended
   */
  call<T = unknown>(method: string, args: readonly unknown[] = []): Promise<T> {
    const id = ++this.#lastId;
    const answer = this.#expect<T>(id);
    if (this.#end === undefined) this.#child.send({ id, method, args }, () => undefined);
    return answer;
  }

  /** Sends a signal, SIGKILL by default, and waits for the end unless the signal only stops or continues the process. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#child.kill(signal);
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await this.exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  #expect<T>(id: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#end === undefined) this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject });
      else reject(new Error(this.#end));
    });
  }

  #answer(answer: Answer): void {
    const id = 'ready' in answer ? 0 : answer.id;
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if ('error' in answer) pending?.reject(Object.assign(new Error(answer.error.message), answer.error));
    else pending?.resolve('result' in answer ? answer.result : undefined);
  }
}

/**
 * Runs a plain `.mjs` script in a child process of its own (Node cannot load this project's TypeScript; scripts import the package from
 * dist, see {@link compiledEntry}). The script ends with `serve({ method(...args) {} })` of workers/serve.mjs. It does not outlive this
 * process. Resolves when it serves.
 * @example await using worker = await forkWorker(new URL('./workers/echo.mjs', import.meta.url).pathname);
 */
export async function forkWorker(scriptPath: string, options: WorkerOptions = {}): Promise<WorkerProcess> {
  const worker = new WorkerProcess(scriptPath, options);
  await worker.ready();
  return worker;
}
