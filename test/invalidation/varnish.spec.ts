import 'reflect-metadata';
import { Controller, Get, Param, Put } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import {
  CachePage,
  defineEntity,
  EntityInvalidationService,
  InvalidatesCache,
  purgeByHeader,
  PurgeService,
  TieredCacheModule,
  type PageAnswer,
  type TieredCacheOptions,
} from '../../src/index.js';
import { closeAll, serve } from '../nest/boot.js';
import { freePort } from '../servers/free.port.js';
import { VarnishServer } from '../servers/varnish.server.js';

afterEach(closeAll);

const Course = defineEntity('Course', { filters: [[]] });

interface Row {
  id: number;
  title: string;
}

/** The database. */
let rows: Row[] = [];
/** Delays the answer of the list, once it is made. */
let held: Promise<void> | undefined;
/** Told when the list has been read. */
let hasRead = (): void => undefined;

@Controller('courses')
class Courses {
  @Get()
  @CachePage({
    ttl: '10m',
    downstream: 'public, max-age=0, s-maxage=600',
    tags: ({ value }: PageAnswer<Row[]>) => Course.listTags({ ids: value.map(({ id }) => id) }),
  })
  async list(): Promise<Row[]> {
    const found = rows.map((row) => ({ ...row }));
    hasRead();
    await held;
    return found;
  }

  @Get(':id')
  @CachePage({
    ttl: '10m',
    downstream: 'public, max-age=0, s-maxage=600',
    tags: ({ value }: PageAnswer<Row>) => Course.tags(value.id),
  })
  one(@Param('id') id: string): Row {
    return { ...rows.find((row) => row.id === Number(id))! };
  }

  @Put(':id/:title')
  @InvalidatesCache({ entities: [{ entity: 'Course', id: ({ id }: Row) => id }] })
  async rename(@Param('id') id: string, @Param('title') title: string): Promise<Row> {
    const row = rows.find((one) => one.id === Number(id))!;
    row.title = title;
    return row;
  }
}

/** Answers BAN, tells whether it answered itself, and takes the labels off. */
const VCL = `
acl inside { "127.0.0.1"; }
sub vcl_recv {
  if (req.method == "BAN") {
    if (client.ip !~ inside) { return (synth(405)); }
    ban("obj.http.xkey ~ " + req.http.x-ban);
    return (synth(200));
  }
}
sub vcl_deliver {
  unset resp.http.xkey;
  if (obj.hits > 0) { set resp.http.x-varnish-cache = "hit"; } else { set resp.http.x-varnish-cache = "miss"; }
}`;

async function site({ repeatAfter = false }: { repeatAfter?: number | false } = {}) {
  rows = [
    { id: 1, title: 'one' },
    { id: 2, title: 'two' },
  ];
  held = undefined;
  const backend = await freePort();
  const varnish = await VarnishServer.start({ backend, vcl: VCL });
  const sink = purgeByHeader({ url: varnish.url, method: 'BAN', header: 'x-ban', as: 'pattern', name: 'varnish' });
  const options: TieredCacheOptions = {
    entities: [Course],
    responses: { surrogateKeys: 'xkey' },
    purge: { sinks: [sink], repeatAfter },
  };
  const { app } = await serve('express', { imports: [TieredCacheModule.forRoot(options)], controllers: [Courses] });
  // Where Varnish looks for it.
  const server = app.getHttpServer() as import('node:http').Server;
  await new Promise((resolve) => server.close(resolve));
  await new Promise<void>((resolve) => server.listen(backend, '127.0.0.1', resolve));
  const get = async (path: string) => {
    const response = await fetch(varnish.url + path);
    return {
      from: response.headers.get('x-varnish-cache'),
      label: response.headers.get('xkey'),
      body: (await response.json()) as unknown,
    };
  };
  return {
    app,
    get,
    origin: `http://127.0.0.1:${backend}`,
    url: varnish.url,
    purges: app.get(PurgeService),
    [Symbol.asyncDispose]: () => varnish.stop(),
  };
}

describe('a Varnish in front of the application', { timeout: 120_000 }, () => {
  it('keeps pages; an edit takes exactly the page of the row and the lists', async () => {
    await using front = await site();
    expect((await fetch(`${front.origin}/courses/1`)).headers.get('xkey')).toMatch(
      /^uri:http:\/\/127\.0\.0\.1:\d+\/courses\/1 Course:1 Course\/table$/,
    );
    for (const path of ['/courses', '/courses/1', '/courses/2']) {
      expect(await front.get(path)).toMatchObject({ from: 'miss', label: null });
      expect(await front.get(path)).toMatchObject({ from: 'hit', label: null });
    }
    expect((await fetch(`${front.url}/courses/1/new`, { method: 'PUT' })).status).toBe(200);
    await front.purges.drain();
    expect(await front.get('/courses/1')).toMatchObject({ from: 'miss', body: { title: 'new' } });
    expect(await front.get('/courses')).toMatchObject({ from: 'miss', body: [{ title: 'new' }, { title: 'two' }] });
    expect(await front.get('/courses/2')).toMatchObject({ from: 'hit' });
    expect(front.purges.stats()['varnish']).toMatchObject({ failures: 0, lost: 0, pending: 0 });
  });

  it('loses what invalidateEntity() names, without waiting', async () => {
    await using front = await site();
    await front.get('/courses/1');
    await front.get('/courses/2');
    rows[0]!.title = 'imported';
    await front.app.get(EntityInvalidationService).invalidateEntity('Course', 1);
    await expect.poll(() => front.get('/courses/1')).toMatchObject({ body: { title: 'imported' } });
    expect(await front.get('/courses/2')).toMatchObject({ from: 'hit' });
    rows[1]!.title = 'too';
    await front.app.get(EntityInvalidationService).invalidateEntity('Course');
    await expect.poll(() => front.get('/courses/2')).toMatchObject({ body: { title: 'too' } });
  });

  it('does not keep a page that was made before the purge and came after it', async () => {
    await using front = await site({ repeatAfter: 300 });
    let release = (): void => undefined;
    held = new Promise((resolve) => (release = resolve));
    const read = new Promise<void>((resolve) => (hasRead = resolve));
    const early = front.get('/courses');
    // The handler has read the database, and its answer is not on its way yet.
    await read;
    rows[0]!.title = 'new';
    await front.app.get(EntityInvalidationService).invalidateEntity('Course', 1);
    await expect.poll(() => front.purges.stats()['varnish']?.purged).toBeGreaterThan(0);
    release();
    held = undefined;
    expect(await early).toMatchObject({ body: [{ title: 'one' }, { title: 'two' }] });
    await expect.poll(() => front.get('/courses')).toMatchObject({ body: [{ title: 'new' }, { title: 'two' }] });
  });
});
