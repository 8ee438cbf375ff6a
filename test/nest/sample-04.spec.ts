import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledSamples } from '../servers/compiled.entry.js';
import { PostgresServer } from '../servers/postgres.server.js';
import { RedisServer } from '../servers/redis.server.js';
import { SampleProcess, type Answered } from './sample.process.js';

const SAMPLE = '04-courses';
const READY = 'Courses on';

interface Course {
  id: number;
  title: string;
  category: string;
  level: string;
  price: number;
}

let postgres: PostgresServer;
let redis: RedisServer;
let one: SampleProcess;
let two: SampleProcess;
beforeAll(async () => {
  await compiledSamples();
  [postgres, redis] = await Promise.all([PostgresServer.start(), RedisServer.start()]);
  const start = () => SampleProcess.start(SAMPLE, READY, { DATABASE_URL: postgres.url, CACHE_URL: redis.url });
  // Both find an empty database.
  [one, two] = await Promise.all([start(), start()]);
});
afterAll(async () => {
  await Promise.all([one?.stop('SIGKILL'), two?.stop('SIGKILL')]);
  await Promise.all([postgres.stop(), redis.stop()]);
});

const all = '/courses';
const pages = [2, 3, 4].map((page) => `/courses?page=${page}`);
const data = ['/courses?category=data', '/courses?category=data&page=2', '/courses?category=data&page=3'];
const easyData = ['/courses?category=data&level=easy', '/courses?category=data&level=easy&page=2'];
const hard = ['/courses?level=hard', '/courses?level=hard&page=2'];
const design = ['/courses?category=design', '/courses?category=design&level=easy&page=2'];
const search = '/courses?search=python';
const ada = ['/me/courses?category=data', '/me/courses?category=design'];

/** A path that is read as a user, or as nobody. */
interface Read {
  readonly path: string;
  readonly user?: string;
}

const READS: readonly Read[] = [
  ...[all, ...pages, ...data, ...easyData, ...hard, ...design, search].map((path) => ({ path })),
  ...['ada', 'bob'].flatMap((user) => ada.map((path) => ({ path, user }))),
];

/** Both processes are behind one name. */
function get(sample: SampleProcess, { path, user }: Read): Promise<Answered> {
  return sample.getAs('courses.test', path, user ? { 'x-user': user } : {});
}

async function send(method: string, path: string, user: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(one.url + path, {
    method,
    headers: { 'x-user': user, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  expect(response.ok, await response.clone().text()).toBe(true);
  const text = await response.text();
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
}

const nameOf = ({ path, user }: Read): string => (user ? `${user} ${path}` : path);

/** Reads everything in both processes; when the database was asked for it, which was once. */
async function readAll(reads: readonly Read[]): Promise<Map<string, unknown>> {
  const asked = new Map<string, unknown>();
  for (const read of reads) {
    const { asOf } = (await get(one, read)).body;
    expect(asOf, nameOf(read)).toEqual(expect.any(String));
    for (const sample of [two, one, two]) expect((await get(sample, read)).body['asOf'], nameOf(read)).toBe(asOf);
    asked.set(nameOf(read), asOf);
  }
  return asked;
}

/**
 * For what the database is asked again after some work in process one: the same in both processes. Everything else is served by both as it
 * was stored before.
 */
async function goneAfter(reads: readonly Read[], work: () => Promise<unknown>): Promise<string[]> {
  const before = await readAll(reads);
  await work();
  const gone = await askedAgain(one, reads, before);
  // The other process hears of it a moment later.
  await expect.poll(() => askedAgain(two, reads, before)).toEqual(gone);
  return gone;
}

async function askedAgain(
  sample: SampleProcess,
  reads: readonly Read[],
  before: ReadonlyMap<string, unknown>,
): Promise<string[]> {
  const answers = await Promise.all(reads.map((read) => get(sample, read)));
  const isAnew = reads.map((read, i) => answers[i]?.body['asOf'] !== before.get(nameOf(read)));
  // What was not concerned is a hit, by the word of Cache-Status.
  for (const [i, { body, tier }] of answers.entries()) {
    expect(body['asOf']).toEqual(expect.any(String));
    if (!isAnew[i]) expect(['memory', 'remote'], nameOf(reads[i] as Read)).toContain(tier);
  }
  return reads
    .map(nameOf)
    .filter((_, i) => isAnew[i])
    .sort();
}

async function firstOf(path: string): Promise<Course> {
  return ((await get(one, { path })).body['courses'] as Course[])[0] as Course;
}

describe('sample 04-courses', () => {
  it('lists pages by filter, in the order of their titles', async () => {
    const page = (await get(one, { path: '/courses?category=data&level=easy&page=2' })).body;
    expect(page).toMatchObject({ filter: { category: 'data', level: 'easy' }, page: 2, total: 13 });
    const courses = page['courses'] as Course[];
    expect(courses).toHaveLength(3);
    expect(courses.every(({ category, level }) => category === 'data' && level === 'easy')).toBe(true);
    expect(courses.map(({ title }) => title)).toEqual(courses.map(({ title }) => title).sort());
    expect((await get(one, { path: '/courses?level=none' })).status).toBe(400);
    expect((await get(one, { path: '/courses/9999' })).status).toBe(404);
  });

  it('keeps a list per filter, page and user', async () => {
    const asked = await readAll(READS);
    expect(asked.size).toBe(READS.length);
    const [adas, bobs] = await Promise.all(['ada', 'bob'].map((user) => get(two, { path: ada[0] as string, user })));
    expect([adas?.body['user'], bobs?.body['user']]).toEqual(['ada', 'bob']);
    expect((await get(one, { path: '/me/courses' })).status).toBe(401);
  });

  it('a new price: the detail and the pages that show the course, in both processes, and nothing else', async () => {
    const { id } = await firstOf('/courses?category=data&level=easy');
    const [detail, other] = [`/courses/${id}`, `/courses/${id + 1}`];
    const shown = (await Promise.all([all, ...pages, ...data].map((path) => get(one, { path }))))
      .map(({ body }) => body as unknown as { page: number; filter: { category?: string }; courses: Course[] })
      .filter(({ courses }) => courses.some((course) => course.id === id))
      .map(
        ({ page, filter }) => [all, ...pages, ...data].find((path) => isPage(path, page, filter.category)) as string,
      );
    const reads = [...READS, { path: detail }, { path: other }];
    const gone = await goneAfter(reads, () => send('PATCH', detail, 'admin', { price: 777 }));
    const mine = shown.includes('/courses?category=data') ? [`ada ${ada[0]}`, `bob ${ada[0]}`] : [];
    expect(gone).toEqual([...new Set([...shown, ...mine, detail, '/courses?category=data&level=easy', search])].sort());
    for (const sample of [one, two]) expect((await get(sample, { path: detail })).body['price']).toBe(777);
  });

  it('a new category: the lists that it leaves and enters, and no others', async () => {
    const { id } = await firstOf('/courses?category=data&level=easy');
    const reads = [...READS, { path: `/courses/${id}` }, { path: `/courses/${id + 1}` }];
    const gone = await goneAfter(reads, () => send('PATCH', `/courses/${id}`, 'admin', { category: 'languages' }));
    const mine = [`ada ${ada[0]}`, `bob ${ada[0]}`];
    expect(gone).toEqual([all, ...pages, ...data, ...easyData, search, ...mine, `/courses/${id}`].sort());
  });

  it('a new course, and one that is removed: the lists it is in', async () => {
    const course = { title: 'Abacus', category: 'data', level: 'easy', price: 1 };
    const lists = [all, ...pages, ...data, ...easyData, search, `ada ${ada[0]}`, `bob ${ada[0]}`].sort();
    let id: unknown;
    expect(await goneAfter(READS, async () => ({ id } = await send('POST', '/courses', 'admin', course)))).toEqual(
      lists,
    );
    expect((await get(two, { path: '/courses?category=data' })).body['courses']).toContainEqual({ ...course, id });
    expect(await goneAfter(READS, () => send('DELETE', `/courses/${String(id)}`, 'admin'))).toEqual(lists);
    expect((await get(two, { path: `/courses/${String(id)}` })).status).toBe(404);
  });

  it('a bookmark: the lists of its user', async () => {
    const { id } = await firstOf('/courses?category=design');
    const adas = ada.map((path) => `ada ${path}`).sort();
    expect(await goneAfter(READS, () => send('PUT', `/me/courses/${id}/bookmark`, 'ada'))).toEqual(adas);
    expect((await get(two, { path: ada[1] as string, user: 'ada' })).body['bookmarked']).toEqual([id]);
    expect(await goneAfter(READS, () => send('DELETE', `/me/courses/${id}/bookmark`, 'ada'))).toEqual(adas);
  });

  it('only an admin edits', async () => {
    const response = await fetch(`${one.url}/courses/1`, { method: 'PATCH', headers: { 'x-user': 'ada' } });
    expect(response.status).toBe(403);
  });
});

function isPage(path: string, page: number, category = ''): boolean {
  const query = new URLSearchParams(path.split('?')[1]);
  return (query.get('page') ?? '1') === String(page) && (query.get('category') ?? '') === category;
}
