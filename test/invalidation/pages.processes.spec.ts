import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RedisServer } from '../servers/redis.server.js';
import { compiledEntry, forkWorker, type WorkerProcess } from '../servers/worker.process.js';

const SCRIPT = fileURLToPath(new URL('../servers/workers/courses.mjs', import.meta.url));
const EDITS = 25;

let server: RedisServer;

beforeAll(async () => {
  await compiledEntry();
  server = await RedisServer.start();
}, 120_000);
afterAll(() => server?.stop());

class Site {
  private constructor(
    readonly worker: WorkerProcess,
    private readonly url: string,
  ) {}

  static async start(platform: string): Promise<Site> {
    const worker = await forkWorker(SCRIPT, { args: [platform, server.url] });
    return new Site(worker, await worker.call<string>('url'));
  }

  async get(path: string): Promise<unknown> {
    return json(await this.ask('GET', path));
  }

  /** The status of the answer. */
  async put(path: string): Promise<number | undefined> {
    const answer = await this.ask('PUT', path);
    answer.resume();
    return answer.statusCode;
  }

  runs(): Promise<{ list: number; one: number; value: number }> {
    return this.worker.call('runs');
  }

  /** As behind a load balancer: under the name of the site, which `fetch` does not let one say. */
  private async ask(method: string, path: string): Promise<IncomingMessage> {
    const asked = request(`${this.url}/courses${path}`, { method, headers: { host: 'courses.test' } }).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return answer;
  }
}

describe.each(['express', 'fastify'])('two processes on Redis, %s', (platform) => {
  let sites: [Site, Site];

  beforeEach(async () => {
    await server.command('FLUSHALL');
    await server.command('HSET', 'courses', '1', 'one', '2', 'two');
    sites = [await Site.start(platform), await Site.start(platform)];
    return () => Promise.all(sites.map(({ worker }) => worker.kill()));
  });

  it(
    'an edit is seen at once where it was made, and as soon as it is heard of elsewhere; nothing else is made anew',
    { timeout: 60_000 },
    async () => {
      const PATHS = ['', '/1', '/1/value', '/2'];
      const readAll = async (site: Site): Promise<unknown[]> => Promise.all(PATHS.map((path) => site.get(path)));
      for (let edit = 1; edit <= EDITS; edit++) {
        const [editor, other] = edit % 2 === 0 ? sites : [sites[1], sites[0]];
        for (const site of sites) await readAll(site);
        const title = `edit-${edit}`;
        expect(await editor.put(`/1/${title}`)).toBe(200);
        const fresh = [
          [
            { id: '1', title },
            { id: '2', title: 'two' },
          ],
          { id: '1', title },
          { id: '1', title },
          { id: '2', title: 'two' },
        ];
        expect(await readAll(editor)).toEqual(fresh);
        await expect.poll(() => readAll(other), { interval: 5, timeout: 2000 }).toEqual(fresh);
      }
      const [a, b] = [await sites[0].runs(), await sites[1].runs()];
      // Once for each edit and once in the beginning; course 2 was asked for as often, and was made once.
      expect(a.list + b.list).toBe(EDITS + 1);
      expect(a.one + b.one).toBe(EDITS + 2);
      expect(a.value + b.value).toBe(EDITS + 1);
    },
  );

  it('an edit that fails takes nothing', async () => {
    const [a, b] = sites;
    await a.get('/1');
    expect(await b.put('/1/refused')).toBe(500);
    await b.get('/1');
    expect((await a.runs()).one + (await b.runs()).one).toBe(1);
  });
});
