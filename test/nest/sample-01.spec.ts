import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledSamples } from '../servers/compiled.entry.js';
import { RedisServer } from '../servers/redis.server.js';
import { SampleProcess, type Answered } from './sample.process.js';

const SAMPLE = '01-catalogue';
const READY = 'Hit counters';

beforeAll(() => compiledSamples());

describe('sample 01-catalogue', () => {
  let sample: SampleProcess;

  beforeAll(async () => {
    sample = await SampleProcess.start(SAMPLE, READY);
  });

  afterAll(() => sample?.stop('SIGKILL'));

  const get = (path: string): Promise<Answered> => sample.get(path);

  it('prints three lines to try, and they work', async () => {
    const curls = sample.output.filter((line) => line.trim().startsWith('curl'));
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
    const second = await get(path);
    expect(second.tier).toBe('memory');
    expect(second.body).toEqual(first.body);
    // The processor may have been away during one of them.
    const again: Answered[] = [second];
    while (again.length < 5) again.push(await get(path));
    expect(first.ms / Math.min(...again.map(({ ms }) => ms))).toBeGreaterThanOrEqual(20);
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

  it('keeps the favourites of each user apart, and forgets them when they change', async () => {
    const of = (user: string, path = '', method = 'GET'): Promise<Answered> =>
      sample.get(`/me/favourites${path}`, { method, headers: { 'x-user': user } });
    expect((await sample.get('/me/favourites')).status).toBe(401);
    expect((await of('ada', '/2950159', 'PUT')).body).toEqual({ favourites: 1 });
    expect((await of('ada')).body).toMatchObject([{ name: 'Berlin' }]);
    expect(await of('ada')).toMatchObject({ tier: 'memory', body: [{ name: 'Berlin' }] });
    expect(await of('bob')).toMatchObject({ tier: 'loader', body: [] });
    await of('ada', '/2988507', 'PUT');
    expect((await of('ada')).body).toMatchObject([{ name: 'Berlin' }, { name: 'Paris' }]);
  });

  it('shows tiers and hit counters', async () => {
    const { body } = await get('/cache');
    expect(body).toMatchObject({
      remote: { store: 'memory', isDown: false },
      namespaces: { http: { answeredBy: { memory: expect.any(Number), loader: expect.any(Number) } } },
    });
  });

  it('ends cleanly on SIGTERM', async () => {
    expect(await sample.stop('SIGTERM')).toBe(0);
  });
});

describe('sample 01-catalogue on Redis', () => {
  const search = '/places/search?q=valencia';

  it('shares the cache between two processes', async () => {
    await using redis = await RedisServer.start();
    const env = { CACHE_URL: redis.url, CACHE_KEY_PREFIX: 'catalogue' };
    await using one = await SampleProcess.start(SAMPLE, READY, env);
    await using two = await SampleProcess.start(SAMPLE, READY, env);
    // Both are the same site, as behind a load balancer.
    const first = await one.getAs('places.example', search);
    expect(first.tier).toBe('loader');
    const second = await two.getAs('places.example', search);
    expect(second.body).toEqual(first.body);
    // From the store, or, if it was quicker than that, from the other's load: it has computed nothing itself.
    expect((await two.get('/cache')).body).toMatchObject({ namespaces: { http: { counters: { loads: 0 } } } });
    expect((await one.get('/cache')).body).toMatchObject({ remote: { store: 'redis', isDown: false } });
    expect(await two.stop('SIGTERM')).toBe(0);
  });

  it('answers without it', async () => {
    // Nothing listens on port 1 of the loopback interface.
    await using sample = await SampleProcess.start(SAMPLE, READY, { CACHE_URL: 'redis://127.0.0.1:1' });
    const first = await sample.get(search);
    expect([first.status, first.tier]).toEqual([200, 'loader']);
    expect((await sample.get('/cache')).body).toMatchObject({ remote: { store: 'redis', isDown: true } });
    expect(await sample.stop('SIGTERM')).toBe(0);
  });
});
