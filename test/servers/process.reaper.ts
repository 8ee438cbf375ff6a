import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';

const REAPER = Symbol.for('nestjs-tiered-cache.process-reaper');

// Reads "+ pid", "- pid" and "d directory" lines. End of file means that the owner is gone, by whatever signal: clean up after it.
// The processes lead their own groups, so that a server's children (BGSAVE) go with it.
const SCRIPT = `
trap '' HUP INT TERM
pids= dirs=
while IFS= read -r line; do
  word=\${line#? }
  case $line in
    '+ '*) pids="$pids $word" ;;
    '- '*) rest=; for p in $pids; do [ "$p" = "$word" ] || rest="$rest $p"; done; pids=$rest ;;
    'd '*) dirs="$dirs
$word" ;;
  esac
done
for p in $pids; do kill -9 -- "-$p" || kill -9 "$p"; done
[ -z "$pids" ] || sleep 0.1
set -f
IFS='
'
for d in $dirs; do rm -rf -- "$d"; done
`;

/** Of this process, however often this module is evaluated in it. */
const shared = globalThis as { [REAPER]?: ProcessReaper };

/**
 * Ends the processes and removes the directories of this process when it dies, even by SIGKILL: a detached shell waits for the end of a
 * pipe that only this process holds open. One per process; it never keeps the process alive.
 */
export class ProcessReaper {
  readonly #pipe: Socket;

  private constructor() {
    const shell = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' });
    this.#pipe = shell.stdin as Socket;
    shell.unref();
    this.#pipe.unref();
    // A vitest worker outlives a SIGKILLed main process as long as it has open handles. Its orphan has nobody to report to.
    if (process.env['VITEST'] && process.send) process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  }

  static get(): ProcessReaper {
    return (shared[REAPER] ??= new ProcessReaper());
  }

  /** Ends the process group led by `pid` should this process die. */
  hold(pid: number): void {
    this.#pipe.write(`+ ${pid}\n`);
  }

  /** To be called as soon as the process has ended: its id may be given to another. */
  release(pid: number): void {
    this.#pipe.write(`- ${pid}\n`);
  }

  /** Removes the directory when this process ends, unless it is gone by then. */
  holdDirectory(path: string): void {
    this.#pipe.write(`d ${path}\n`);
  }
}
