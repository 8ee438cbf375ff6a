import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { compiledEntry, forkWorker } from './worker.process.js';

describe('forkWorker', () => {
  const script = fileURLToPath(new URL('./workers/echo.mjs', import.meta.url));

  it('calls a method in a process of its own and hands errors back', async () => {
    await using worker = await forkWorker(script, { env: { TC_HARNESS: 'seen' } });
    expect(await worker.call('pid')).toBe(worker.pid);
    expect(worker.pid).not.toBe(process.pid);
    expect(await worker.call('env', ['TC_HARNESS'])).toBe('seen');
    const value = [1n, new Date(0), new Map([['a', undefined]]), new Uint8Array([1, 2])];
    expect(await worker.call('echo', value)).toEqual(value);
    await expect(worker.call('fail', ['no', 'E_NO'])).rejects.toMatchObject({
      name: 'TypeError',
      message: 'no',
      code: 'E_NO',
    });
    await expect(worker.call('toString')).rejects.toThrow('no method "toString"');
  });

  it('rejects what is pending, and all later calls, when the worker is killed', async () => {
    const worker = await forkWorker(script);
    await worker.kill('SIGSTOP');
    const pending = expect(worker.call('pid')).rejects.toThrow('SIGKILL');
    await worker.kill();
    await pending;
    expect(await worker.exited).toBe('SIGKILL');
    await expect(worker.call('pid')).rejects.toThrow('SIGKILL');
  });

  it('tells why a script did not start', async () => {
    await expect(forkWorker(fileURLToPath(new URL('./workers/missing.mjs', import.meta.url)))).rejects.toThrow(
      /Cannot find module/,
    );
  });
});

describe('compiledEntry', () => {
  it('either names the compiled package or tells why there is none', async () => {
    const outcome = await compiledEntry().catch((error: Error) => error);
    if (outcome instanceof Error)
      expect(outcome.message).toMatch(/dist could not be built from src[^]*(error TS|does not exist)/);
    else expect(existsSync(outcome)).toBe(true);
  });
});
