import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledEntry } from '../servers/compiled.entry.js';
import { ProcessReaper } from '../servers/process.reaper.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = `${ROOT}dist/sample/01-catalogue/main.js`;

interface Answered {
  readonly status: number;
  readonly tier: string | null;
  readonly ms: number;
  readonly serverTiming: string | null;
  readonly body: Record<string, unknown>;
}

describe('sample 01-catalogue', () => {
  let child: ChildProcess;
  let url: string;
  const output: string[] = [];

  beforeAll(async () => {
    await compiledEntry();
    await promisify(execFile)(process.execPath, [
      `${ROOT}node_modules/typescript/bin/tsc`,
      '-p',
      `${ROOT}sample/01-catalogue/tsconfig.json`,
    ]);
    const env = { ...process.env, PORT: '0', HOST: '127.0.0.1', NO_COLOR: '1', CACHE_URL: '' };
    child = spawn(process.execPath, [MAIN], { cwd: ROOT, env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    ProcessReaper.get().hold(child.pid as number);
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      output.push(line);
      if (line.startsWith('Hit counters')) break;
    }
    url = /http:\/\/localhost:\d+/.exec(output.join('\n'))?.[0]?.replace('localhost', '127.0.0.1') ?? '';
  });

  afterAll(() => child?.kill('SIGKILL'));

  async function get(path: string): Promise<Answered> {
    const response = await fetch(url + path);
    return {
      status: response.status,
      tier: response.headers.get('x-cache-tier'),
      ms: Number(response.headers.get('x-response-time-ms')),
      serverTiming: response.headers.get('server-timing'),
      body: (await response.json()) as Record<string, unknown>,
    };
  }

  it('prints three lines to try, and they work', async () => {
    const curls = output.filter((line) => line.trim().startsWith('curl'));
    expect(curls).toHaveLength(3);
    for (const curl of curls) {
      const path = /localhost:\d+([^']*)/.exec(curl)?.[1] ?? '';
      expect((await get(path)).status).toBe(200);
      expect((await get(path)).tier).toBe('memory');
    }
  });

  it('answers the second identical search from memory, at least 20 times faster', async () => {
    const path = '/places/search?q=santa&sort=population';
    const first = await get(path);
    expect(first.tier).toBe('loader');
    expect(first.serverTiming).toMatch(/^cache;dur=\d+\.\d+$/);
    const second = await get(path);
    expect(second.tier).toBe('memory');
    expect(second.body).toEqual(first.body);
    expect(first.ms / second.ms).toBeGreaterThanOrEqual(20);
    expect(first.body).toMatchObject({
      page: 1,
      places: expect.arrayContaining([expect.objectContaining({ name: 'Santa Cruz de la Sierra' })]),
    });
  });

  it('searches all places: filter, sort, pages, near misses', async () => {
    const everything = await get('/places/search?page=2');
    expect(everything.body.total).toBeGreaterThan(130_000);
    const german = (await get('/places/search?q=muenchen&country=de&sort=name')).body;
    expect(german.places).toSatisfy((places: Array<{ country: string }>) =>
      places.every(({ country }) => country === 'DE'),
    );
    expect((await get('/places/search?q=lundon')).body.similar).toContain('London');
    expect((await get('/places/search?sort=size')).status).toBe(400);
    expect((await get('/places/search?page=0')).status).toBe(400);
  });

  it('tells a place and its neighbours', async () => {
    const { status, body } = await get('/places/5391959');
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: 'San Francisco', country: 'US', nearest: expect.any(Array) });
    expect((await get('/places/1')).status).toBe(404);
  });

  it('loads only what is missing of many', async () => {
    expect((await get('/places?ids=2950159,3169070')).tier).toBe('loader');
    const loads = async (): Promise<number> => {
      const { namespaces } = (await get('/cache')).body as { namespaces: { places: { counters: { loads: number } } } };
      return namespaces.places.counters.loads;
    };
    const before = await loads();
    const more = await get('/places?ids=3169070,2761369,2950159');
    expect((await loads()) - before).toBe(1);
    expect(more.body).toMatchObject([
      { name: expect.stringMatching(/Rom/) },
      { name: expect.stringMatching(/Vienna|Wien/) },
      { name: 'Berlin' },
    ]);
    expect((await get('/places?ids=3169070,2761369,2950159')).tier).toBe('memory');
  });

  it('shows tiers and hit counters', async () => {
    const { body } = await get('/cache');
    expect(body).toMatchObject({
      remote: { store: 'memory', isDown: false },
      namespaces: { search: { answeredBy: { memory: expect.any(Number), loader: expect.any(Number) } } },
    });
  });

  it('ends cleanly on SIGTERM', async () => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    ProcessReaper.get().release(child.pid as number);
  });
});
