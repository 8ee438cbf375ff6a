import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEngine, heard } from '../faults/subject.js';
import { freePort } from '../servers/free.port.js';
import { RedisServer } from '../servers/redis.server.js';
import { compiledEntry } from '../servers/worker.process.js';

let server: RedisServer;
beforeAll(async () => {
  await compiledEntry();
  server = await RedisServer.start();
});
afterAll(() => server?.stop());

const AT_REST = { flights: 0, waiting: 0, watched: 0 };

describe('at rest', () => {
  it('nothing is left of loads that succeeded, failed, were invalidated or could not be stored', async () => {
    const engine = await heard(openEngine(server.url));
    const cache = engine.namespace('default');
    const calls = Array.from({ length: 400 }, async (_, i) => {
      const loading = cache.getOrSet(`k${i}`, async () => {
        await Promise.resolve();
        if (i % 4 === 1) throw new Error('no');
        if (i % 4 === 2) await cache.delete(`k${i}`);
        return i % 4 === 3 ? (): void => undefined : i;
      });
      await loading.catch(() => undefined);
    });
    await Promise.all(calls);
    await engine.drain();
    expect(engine.inspect()).toMatchObject(AT_REST);
    // A lease is given up in the background.
    await expect.poll(() => server.command('KEYS', 'tc:l:*')).toEqual([]);
  });

  it('drain waits for the loads under way, also when they fail', async () => {
    const engine = await heard(openEngine(server.url));
    const cache = engine.namespace('default');
    const ended: string[] = [];
    let finish = (): void => undefined;
    const gate = new Promise<void>((resolve) => (finish = resolve));
    const begun: Array<Promise<void>> = [];
    const loads = ['good', 'bad'].map((name) => {
      let begin = (): void => undefined;
      begun.push(new Promise((resolve) => (begin = resolve)));
      return cache.getOrSet(`drain-${name}`, async () => {
        begin();
        await gate;
        ended.push(name);
        if (name === 'bad') throw new Error('no');
        return name;
      });
    });
    const settled = Promise.allSettled(loads);
    await Promise.all(begun);
    const drained = engine.drain().then(() => ended.push('drained'));
    finish();
    await drained;
    expect(ended).toEqual(['good', 'bad', 'drained']);
    expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(engine.inspect()).toMatchObject(AT_REST);
  });
});

describe('a process whose engine was closed', () => {
  const script = fileURLToPath(new URL('../servers/workers/lifecycle.mjs', import.meta.url));

  async function run(url: string): Promise<{ code: number | null; said: unknown; errors: string }> {
    const child = spawn(process.execPath, [script, url], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 15_000,
      killSignal: 'SIGKILL',
    });
    const [said, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    return { code: code as number | null, said: said && JSON.parse(said), errors };
  }
  const served = { value: 'served', after: 'loaded', ...AT_REST };

  it('ends by itself, and has served what was under way', async () => {
    expect(await run(server.url)).toMatchObject({ code: 0, said: served, errors: '' });
  });

  it('ends by itself when there is no Redis', async () => {
    expect(await run(`redis://127.0.0.1:${await freePort()}`)).toMatchObject({ code: 0, said: served, errors: '' });
  });

  it('ends by itself when Redis hangs', async () => {
    await using hanging = await RedisServer.start();
    hanging.pause();
    expect(await run(hanging.url)).toMatchObject({ code: 0, said: served, errors: '' });
  });
});
