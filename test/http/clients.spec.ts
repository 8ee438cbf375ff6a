import 'reflect-metadata';
import {
  Controller,
  Get,
  Header,
  Headers,
  InternalServerErrorException,
  Req,
  Res,
  StreamableFile,
  type INestApplication,
} from '@nestjs/common';
import { Agent, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { defer, from, type Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CachePage, CacheResponse, TieredCacheModule } from '../../src/index.js';
import type { CacheEngine } from '../../src/core/cache-engine.js';
import { TIERED_CACHE_ENGINE } from '../../src/tiered-cache.constants.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { Gate } from './subject.js';
import { ask, leaver, type Received } from './wire/wire.client.js';

afterEach(closeAll);

let runs: number;
/** Runs of the handler that always fails: each waits until it is let go. */
let turns: Gate[];
let active: number;
let peak: number;
let arrived: Gate;
let gate: Gate;
let entered: Gate;
beforeEach(() => {
  runs = active = peak = 0;
  turns = [];
  gate = new Gate();
  entered = new Gate(1);
});

const CLIENTS = 200;

/** As the answer of one run, and of no other. */
async function slow(): Promise<{ run: number }> {
  const run = ++runs;
  entered.arrive();
  // Those who are on their own do not wait.
  if (run === 1) await gate.opened;
  return { run };
}

type Reply = { header(name: string, value: string): void };

@Controller()
class Slow {
  @Get('promise')
  @CachePage('1m')
  promise(): Promise<object> {
    return slow();
  }

  @Get('observable')
  @CachePage('1m')
  observable(): Observable<object> {
    return defer(() => from(slow()));
  }

  @Get('stream')
  @CachePage('1m')
  stream(): StreamableFile {
    const text = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from(JSON.stringify(await slow()));
    };
    return new StreamableFile(Readable.from(text()), { type: 'application/json' });
  }

  @Get('value')
  @CacheResponse('1m')
  value(): Promise<object> {
    return slow();
  }

  @Get('private')
  @CachePage('1m')
  @Header('cache-control', 'PRIVATE')
  private(): Promise<object> {
    return slow();
  }

  @Get('late-private')
  @CachePage('1m')
  async latePrivate(@Res({ passthrough: true }) response: Reply): Promise<object> {
    const made = await slow();
    response.header('cache-control', 'private="", max-age=60');
    return made;
  }

  @Get('cookie')
  @CachePage('1m')
  async cookie(@Res({ passthrough: true }) response: Reply): Promise<object> {
    const made = await slow();
    response.header('set-cookie', `id=${made.run}`);
    return made;
  }

  @Get('value-cookie')
  @CacheResponse('1m')
  async valueCookie(@Res({ passthrough: true }) response: Reply): Promise<object> {
    const made = await slow();
    response.header('set-cookie', `id=${made.run}`);
    return made;
  }

  @Get('large')
  @CachePage({ ttl: '1m', maxBytes: 20 })
  async large(): Promise<object> {
    return { ...(await slow()), padding: 'x'.repeat(100) };
  }

  @Get('personal')
  @CachePage('1m')
  async personal(@Req() request: { headers: Record<string, string> }): Promise<object> {
    return { ...(await slow()), cookie: request.headers['cookie'] ?? null };
  }

  @Get('failing')
  @CachePage('1m')
  async failing(): Promise<object> {
    const made = await slow();
    if (made.run === 1) throw new InternalServerErrorException('run 1');
    return made;
  }

  @Get('broken')
  @CachePage('1m')
  async broken(): Promise<never> {
    const turn = new Gate();
    turns.push(turn);
    peak = Math.max(peak, ++active);
    await slow();
    await turn.opened;
    active--;
    throw new InternalServerErrorException(`run ${turns.length}`);
  }

  @Get('choosy')
  @CachePage('1m')
  async choosy(@Headers('x-crash') crash: string | undefined): Promise<object> {
    const made = await slow();
    if (crash !== undefined) throw new InternalServerErrorException('crashed, as was wished');
    return made;
  }

  @Get('failing-of-one')
  @CachePage('1m')
  async failingOfOne(@Headers('cookie') cookie: string): Promise<never> {
    await slow();
    throw new InternalServerErrorException(cookie);
  }

  @Get('cut')
  @CachePage('1m')
  cut(): StreamableFile {
    const text = async function* (): AsyncGenerator<Buffer> {
      const made = await slow();
      yield Buffer.from(JSON.stringify(made));
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (made.run === 1) throw new Error('half-way');
    };
    return new StreamableFile(Readable.from(text()), { type: 'application/json' });
  }

  @Get('authorized')
  @CachePage({ mode: 'rfc' })
  @Header('cache-control', 'max-age=60')
  async authorized(@Req() request: { headers: Record<string, string> }): Promise<object> {
    return { ...(await slow()), by: request.headers['authorization'] ?? 'nobody' };
  }
}

describe.each<Platform>(['express', 'fastify'])('clients side by side, on %s', (platform) => {
  let app: INestApplication;
  let url: string;
  const start = async (clients: number): Promise<void> => {
    arrived = new Gate(clients);
    ({ app, url } = await serve(
      platform,
      { imports: [TieredCacheModule.forRoot()], controllers: [Slow] },
      (application) =>
        application.use((_request: unknown, _response: unknown, next: () => void) => {
          next();
          arrived.arrive();
        }),
    ));
  };
  const json = ({ body }: Received): { run: number } => JSON.parse(body.toString()) as { run: number };

  /** All have come, and a request that came after them has been answered meanwhile. */
  const allWait = async (): Promise<void> => {
    await arrived.opened;
    await ask(`${url}/nowhere`);
  };
  const connections = (): Promise<number> =>
    new Promise((resolve) => (app.getHttpServer() as Server).getConnections((_error, count) => resolve(count)));

  /** Nothing is under way, nobody waits, no connection is left. */
  const atRest = async (): Promise<void> => {
    const engine = app.get<CacheEngine>(TIERED_CACHE_ENGINE);
    const rest = async (): Promise<object> => {
      const { flights, underway, waiting, watched } = engine.inspect();
      return { flights, underway, waiting, watched, connections: await connections() };
    };
    await expect
      .poll(rest, { timeout: 10_000 })
      .toEqual({ flights: 0, underway: 0, waiting: 0, watched: 0, connections: 0 });
  };

  describe.each(['promise', 'observable', 'stream', 'value'])('of a %s', (path) => {
    it('are all answered by one run of the handler', async () => {
      await start(CLIENTS);
      const asked = Array.from({ length: CLIENTS }, () => ask(`${url}/${path}`));
      await allWait();
      gate.release();
      const answers = await Promise.all(asked);
      expect(answers.map(json)).toEqual(Array.from({ length: CLIENTS }, () => ({ run: 1 })));
      expect(runs).toBe(1);
      await atRest();
    });

    it('are answered although half of them leave, the first one among them', async () => {
      await start(CLIENTS);
      const first = leaver(`${url}/${path}`);
      await entered.opened;
      const leaving = [first, ...Array.from({ length: CLIENTS / 2 - 1 }, () => leaver(`${url}/${path}`))];
      const asked = Array.from({ length: CLIENTS / 2 }, () => ask(`${url}/${path}`));
      await allWait();
      for (const client of leaving) client.leave();
      await Promise.all(leaving.map(({ left }) => left));
      // The server has to hear of it; by then the others may have been answered by somebody else's run.
      await expect.poll(connections).toBeLessThanOrEqual(asked.length);
      gate.release();
      const answers = await Promise.all(asked);
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
      expect(new Set(answers.map((answer) => json(answer).run)).size).toBe(1);
      // Nest gives up what nobody is there for; somebody else does it then, for all.
      expect(runs).toBeLessThanOrEqual(path === 'promise' || path === 'value' ? 1 : 2);
      await atRest();
    });
  });

  describe.each([
    ['private', 'is private'],
    ['late-private', 'is private, in odd spelling'],
    ['cookie', 'sets a cookie'],
    ['value-cookie', 'sets a cookie beside its value'],
    ['large', 'is too large'],
    ['personal', 'was made of a cookie'],
  ])('of a response (%s) that %s', (path) => {
    it('get one each, of their own', async () => {
      await start(20);
      const asked = Array.from({ length: 20 }, (_, at) => ask(`${url}/${path}`, { headers: { cookie: `n=${at}` } }));
      await allWait();
      gate.release();
      const answers = await Promise.all(asked);
      const own = answers.map(json);
      expect(new Set(own.map(({ run }) => run)).size).toBe(20);
      for (const [at, { headers }] of answers.entries()) {
        const cookie = headers['set-cookie'];
        if (cookie) expect(cookie).toEqual([`id=${own[at]!.run}`]);
        if (path === 'personal') expect(own[at]).toMatchObject({ cookie: `n=${at}` });
      }
      await atRest();
    });
  });

  it('get the answer of one of them when the first one fails', async () => {
    await start(20);
    const asked = Array.from({ length: 20 }, () => ask(`${url}/failing`));
    await allWait();
    gate.release();
    const answers = await Promise.all(asked);
    expect(answers.filter(({ status }) => status === 500)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(19);
    expect(runs).toBe(2);
    await atRest();
  });

  it('try one after the other while the handler fails, and then believe it', async () => {
    await start(20);
    const asked = Array.from({ length: 20 }, () => ask(`${url}/broken`));
    await allWait();
    gate.release();
    for (let run = 0; run < 4; run++) {
      await expect.poll(() => turns.length).toBe(run + 1);
      // Meanwhile the others have come to wait for this one.
      await ask(`${url}/nowhere`);
      turns[run]!.release();
    }
    const answers = await Promise.all(asked);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([500]));
    // Nobody is told what somebody else was.
    const told = answers.map(({ body }) => (JSON.parse(body.toString()) as { message: string }).message);
    expect(told.filter((message) => message.startsWith('run'))).toHaveLength(4);
    expect([turns.length, peak]).toEqual([4, 1]);
    await atRest();
  });

  it('do not fail because of what somebody else has sent', async () => {
    await start(10);
    const bad = [ask(`${url}/choosy`, { headers: { 'x-crash': '1' } })];
    await entered.opened;
    bad.push(...Array.from({ length: 6 }, () => ask(`${url}/choosy`, { headers: { 'x-crash': '1' } })));
    const good = Array.from({ length: 3 }, () => ask(`${url}/choosy`));
    await allWait();
    gate.release();
    expect((await Promise.all(bad)).map(({ status }) => status)).toEqual(bad.map(() => 500));
    expect((await Promise.all(good)).map(({ status }) => status)).toEqual([200, 200, 200]);
    await atRest();
  });

  it('are told of their own failure, if it depends on who asks', async () => {
    await start(5);
    const asked = Array.from({ length: 5 }, (_, at) =>
      ask(`${url}/failing-of-one`, { headers: { cookie: `n=${at}` } }),
    );
    await allWait();
    gate.release();
    const told = (await Promise.all(asked)).map(
      ({ body }) => (JSON.parse(body.toString()) as { message: string }).message,
    );
    expect(told).toEqual([0, 1, 2, 3, 4].map((at) => `n=${at}`));
    await atRest();
  });

  it('get whole answers when that of the first one breaks off', async () => {
    await start(20);
    const asked = Array.from({ length: 20 }, () => ask(`${url}/cut`));
    await allWait();
    gate.release();
    const answers = await Promise.all(asked);
    expect(answers.filter(({ broken }) => broken)).toHaveLength(1);
    const whole = answers.filter(({ broken }) => !broken).map(json);
    expect(whole).toHaveLength(19);
    expect(whole.every(({ run }) => run > 1)).toBe(true);
    await atRest();
  });

  it('with credentials are not given what was made for those without, in rfc mode (RFC 9111 3.5)', async () => {
    await start(2);
    const nobody = ask(`${url}/authorized`);
    await entered.opened;
    const ann = ask(`${url}/authorized`, { headers: { authorization: 'Bearer ann' } });
    await allWait();
    gate.release();
    expect(json(await nobody)).toMatchObject({ by: 'nobody' });
    expect(json(await ann)).toMatchObject({ by: 'Bearer ann' });
  });

  it('leave nothing on a connection that they use again and again, however many misses it sees', async () => {
    await start(0);
    const sockets = new Set<Socket>();
    (app.getHttpServer() as Server).on('connection', (socket: Socket) => sockets.add(socket));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const misses = 12;
    gate.release();
    for (let miss = 0; miss < misses; miss++) {
      const { headers } = await ask(`${url}/stream?miss=${miss}`, { agent });
      expect(headers['cache-status']).toContain('fwd=uri-miss');
    }
    const [socket] = [...sockets] as [Socket];
    // Those of Node, of Nest, and of a response that is just ending.
    const left = socket.listenerCount('close');
    agent.destroy();
    expect(sockets.size).toBe(1);
    expect(left).toBeLessThan(misses - 3);
  });
});
