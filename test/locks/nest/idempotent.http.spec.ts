import 'reflect-metadata';
import {
  Controller,
  Header,
  HttpCode,
  HttpException,
  Logger,
  Param,
  Post,
  Res,
  StreamableFile,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  CacheLock,
  CacheLockService,
  Idempotent,
  MemoryLockStore,
  TieredCacheModule,
  type TieredCacheOptions,
} from '../../../src/index.js';
import { until } from '../../faults/subject.js';
import { request } from 'node:http';
import { closeAll, serve, type Platform } from '../../nest/boot.js';
import { MemoryLockDatabase } from '../../../src/stores/memory/memory.lock-database.js';
import { gate } from '../subject.js';

let runs = 0;
let during: () => Promise<unknown> = async () => undefined;
beforeEach(() => {
  runs = 0;
  during = async () => undefined;
});
afterEach(closeAll);

const Recognise: CanActivate = {
  canActivate(context: ExecutionContext): boolean {
    const call = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: object }>();
    if (call.headers['x-user'] !== undefined) call.user = { id: call.headers['x-user'] };
    return true;
  },
};

@Controller('policies/:id')
class Redeem {
  @CacheLock({ key: ({ params }) => ['policy', params['id']], lease: '400ms' })
  @Idempotent({ lease: '400ms' })
  @UseGuards(Recognise)
  @Header('x-static', 'yes')
  @HttpCode(202)
  @Post('redeem')
  async redeem(@Param('id') id: string, @Res({ passthrough: true }) response: object): Promise<object> {
    const run = ++runs;
    await during();
    const carrier = response as { header(name: string, value: string): unknown };
    carrier.header('x-run', String(run));
    carrier.header('set-cookie', 'session=secret');
    return { run, id };
  }

  @Idempotent({ wait: '10s' })
  @UseGuards(Recognise)
  @Post('patient')
  async patient(): Promise<string> {
    const run = ++runs;
    await during();
    return `run ${run}`;
  }

  @Idempotent({ required: false })
  @UseGuards(Recognise)
  @Post('optional')
  optional(): string {
    return `run ${++runs}`;
  }

  @Idempotent()
  @UseGuards(Recognise)
  @Post('fails/:status')
  fails(@Param('status') status: string): never {
    throw new HttpException(`failed ${++runs}`, Number(status));
  }

  @Idempotent({ maxBytes: 10 })
  @UseGuards(Recognise)
  @Post('large')
  large(): string {
    runs++;
    return 'more than ten bytes';
  }

  @Idempotent()
  @UseGuards(Recognise)
  @Post('file')
  file(): StreamableFile {
    runs++;
    return new StreamableFile(Buffer.from([0, 255, 1]));
  }

  @Idempotent({ scope: () => 'everybody' })
  @Post('public')
  public(): string {
    return `run ${++runs}`;
  }
}

const KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"';

let app: INestApplication;
let url: string;

async function listen(platform: Platform, options: TieredCacheOptions = {}, controller: Type = Redeem): Promise<void> {
  ({ app, url } = await serve(platform, { imports: [TieredCacheModule.forRoot(options)], controllers: [controller] }));
}

async function post(
  path: string,
  { key = KEY, user = 'ann', body = { amount: 1 } }: { key?: string | null; user?: string | null; body?: object } = {},
) {
  const response = await fetch(`${url}/policies/${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key !== null && { 'idempotency-key': key }),
      ...(user !== null && { 'x-user': user }),
    },
    body: JSON.stringify(body),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = String(bytes);
  const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : undefined;
  return { status: response.status, headers: response.headers, text, json, bytes };
}

const settled = (): Promise<unknown> => until(async () => app.get(CacheLockService).stats().held === 0, 2000);

describe.each<Platform>(['express', 'fastify'])('@Idempotent on %s', (platform) => {
  it('replays status, headers and body, and runs once', async () => {
    await listen(platform);
    const first = await post('1/redeem');
    await settled();
    const again = await post('1/redeem');
    expect(runs).toBe(1);
    expect([first.status, first.json]).toEqual([202, { run: 1, id: '1' }]);
    expect([again.status, again.json]).toEqual([202, { run: 1, id: '1' }]);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(again.headers.get('x-run')).toBe('1');
    expect(again.headers.get('x-static')).toBe('yes');
    expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect(again.headers.get('set-cookie')).toBeNull();
    const bare = await post('1/redeem', { key: KEY.slice(1, -1), body: { amount: 1 } });
    expect(bare.headers.get('idempotent-replayed')).toBe('true');
  });

  it('4.14 #21 does not replay to another user, nor on another route', async () => {
    await listen(platform);
    await post('1/redeem');
    await settled();
    expect((await post('1/redeem', { user: 'bob' })).json).toEqual({ run: 2, id: '1' });
    expect((await post('1/optional')).text).toBe('run 3');
    expect((await post('1/redeem', { key: '"another"' })).json).toEqual({ run: 4, id: '1' });
  });

  it('422 for another request with the same key', async () => {
    await listen(platform);
    await post('1/redeem', { body: { a: 1, b: { c: 2, d: 3 } } });
    await settled();
    const same = await post('1/redeem', { body: { b: { d: 3, c: 2 }, a: 1 } });
    expect(same.headers.get('idempotent-replayed')).toBe('true');
    for (const other of [post('1/redeem', { body: { a: 2 } }), post('2/redeem', { body: { a: 1, b: { c: 2, d: 3 } } })])
      expect(await other).toMatchObject({ status: 422, json: { code: 'idempotency_key_reused' } });
    expect(runs).toBe(1);
  });

  it('409 with Retry-After while the first is under way', async () => {
    await listen(platform);
    const { opened, open } = gate();
    const begun = gate();
    during = () => (begun.open(), opened);
    const first = post('1/redeem');
    await begun.opened;
    const second = await post('1/redeem');
    expect(second).toMatchObject({ status: 409, json: { code: 'idempotency_in_flight', statusCode: 409 } });
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    open();
    expect((await first).status).toBe(202);
    expect(runs).toBe(1);
  });

  it('or waits for the first, and is given its answer', async () => {
    await listen(platform);
    const { opened, open } = gate();
    const begun = gate();
    during = () => (begun.open(), opened);
    const first = post('1/patient');
    await begun.opened;
    const second = post('1/patient');
    await until(async () => app.get(CacheLockService).stats().waiting === 1, 2000);
    open();
    expect((await first).text).toBe('run 1');
    expect((await second).text).toBe('run 1');
    expect((await second).headers.get('idempotent-replayed')).toBe('true');
    await settled();
    expect(runs).toBe(1);
  });

  it.each([
    ['no key', null, 'idempotency_key_missing'],
    ['an empty string', '""', 'idempotency_key_invalid'],
    ['an open string', '"abc', 'idempotency_key_invalid'],
    ['two', '"a", "b"', 'idempotency_key_invalid'],
    ['a long one', 'x'.repeat(256), 'idempotency_key_invalid'],
  ])('400 for %s', async (_what, key, code) => {
    await listen(platform);
    expect(await post('1/redeem', { key })).toMatchObject({ status: 400, json: { code } });
    expect(runs).toBe(0);
  });

  it('runs without a key where none is required', async () => {
    await listen(platform);
    expect((await post('1/optional', { key: null })).text).toBe('run 1');
    expect((await post('1/optional', { key: null })).text).toBe('run 2');
  });

  it('is no proof of who somebody is', async () => {
    const logged = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    onTestFinished(() => logged.mockRestore());
    await listen(platform);
    expect((await post('1/redeem', { user: null })).status).toBe(500);
    expect(runs).toBe(0);
    expect((await post('1/public', { user: null })).text).toBe('run 1');
    await settled();
    expect((await post('1/public', { user: null })).text).toBe('run 1');
  });

  it.each([
    [404, 1],
    [422, 1],
    [429, 2],
    [500, 2],
    [503, 2],
  ])('an answer of status %i: two requests are %i runs', async (status, expected) => {
    const logged = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    onTestFinished(() => logged.mockRestore());
    await listen(platform);
    expect((await post(`1/fails/${status}`)).status).toBe(status);
    await settled();
    expect((await post(`1/fails/${status}`)).status).toBe(status);
    expect(runs).toBe(expected);
  });

  it('an answer that is too large is not kept, and the request not run again', async () => {
    await listen(platform);
    expect((await post('1/large')).text).toBe('more than ten bytes');
    await settled();
    expect(await post('1/large')).toMatchObject({ status: 409, json: { code: 'idempotency_answer_lost' } });
    expect(runs).toBe(1);
  });

  it('bytes are replayed as bytes', async () => {
    await listen(platform);
    const first = await post('1/file');
    await settled();
    const again = await post('1/file');
    expect([...again.bytes]).toEqual([0, 255, 1]);
    expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect(runs).toBe(1);
  });

  it('a client that left finds the answer when it comes again', async () => {
    await listen(platform);
    const { opened, open } = gate();
    const begun = gate();
    during = () => (begun.open(), opened);
    const sent = request(`${url}/policies/1/redeem`, {
      method: 'POST',
      agent: false,
      headers: { 'idempotency-key': KEY, 'x-user': 'ann', 'content-type': 'application/json' },
    });
    sent.on('error', () => undefined);
    sent.end(JSON.stringify({ amount: 1 }));
    await begun.opened;
    sent.destroy();
    expect((await post('1/redeem')).status).toBe(409);
    await new Promise((resolve) => setTimeout(resolve, 50));
    open();
    await settled();
    const again = await post('1/redeem');
    expect([again.status, again.json]).toEqual([202, { run: 1, id: '1' }]);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });

  it('a replay needs no lock of the resource; who finds that held may try again with its key', async () => {
    await listen(platform);
    const locks = app.get(CacheLockService);
    const other = await locks.acquire(['policy', 1]);
    expect(await post('1/redeem')).toMatchObject({ status: 429, json: { code: 'resource_locked' } });
    await other.release();
    await until(async () => locks.stats().held === 0, 2000);
    expect((await post('1/redeem')).json).toEqual({ run: 1, id: '1' });
    await settled();
    await using _held = await locks.acquire(['policy', 1]);
    expect((await post('1/redeem')).headers.get('idempotent-replayed')).toBe('true');
  });

  it('4.14 #21 the key of a process that died is free after its lease', async () => {
    const database = new MemoryLockDatabase();
    await listen(platform, { locks: { store: new MemoryLockStore({ database }) } });
    const dead = url;
    const hung = gate();
    const begun = gate();
    during = () => (begun.open(), hung.opened);
    const lost = post('1/redeem');
    await begun.opened;
    // As a crash does: nothing is renewed, nothing is released, nothing is told.
    vi.spyOn(MemoryLockStore.prototype, 'renew').mockImplementation(() => new Promise(() => undefined));
    onTestFinished(() => void vi.restoreAllMocks());
    during = async () => undefined;
    await listen(platform, { locks: { store: new MemoryLockStore({ database }) } });
    expect(url).not.toBe(dead);
    expect((await post('1/redeem')).status).toBe(409);
    await until(async () => (await post('1/redeem')).status === 202, 3000);
    expect(runs).toBe(2);
    hung.open();
    const late = await lost;
    expect(late.json).toEqual({ run: 1, id: '1' });
    // What the overtaken one answered is not what is replayed.
    await until(async () => (await post('1/redeem')).headers.get('idempotent-replayed') === 'true', 2000);
    expect((await post('1/redeem')).json).toEqual({ run: 2, id: '1' });
  });
});

it('refuses, at boot, what cannot be replayed, and a store without records', async () => {
  @Controller()
  class Raw {
    @Idempotent()
    @Post()
    raw(@Res() _response: unknown): void {}
  }
  await expect(listen('express', {}, Raw)).rejects.toMatchObject({ code: 'unsupported_idempotency' });
  const store = new MemoryLockStore();
  Object.defineProperty(store, 'records', { value: undefined });
  await expect(listen('express', { locks: { store } })).rejects.toMatchObject({ code: 'unsupported_lock_store' });
});
