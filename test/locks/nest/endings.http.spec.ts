import 'reflect-metadata';
import type { ServerResponse } from 'node:http';
import {
  Controller,
  Param,
  ParseIntPipe,
  Post,
  Query,
  Res,
  Sse,
  StreamableFile,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { Readable } from 'node:stream';
import { Observable, retry, tap } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import { CacheLock, CacheLockService, TieredCacheModule, type LockKeyContext } from '../../../src/index.js';
import { until } from '../../faults/subject.js';
import { ask, leaver } from '../../http/wire/wire.client.js';
import { closeAll, serve, type Platform } from '../../nest/boot.js';
import { commonEndings } from './endings.contract.js';
import { Commit, Deny, observe, reject, ThrowBefore, throws, Timeout, work } from './around.js';
import { around, endStages, newStage, stageOf, ToldLocks, WatchClose } from './stage.js';

afterEach(() => {
  endStages();
  return closeAll();
});

const key = ({ params }: LockKeyContext): string[] => ['policy', params['id'] as string];

const Delay = around(async (stage, next) => {
  stage.note('delayed');
  await stage.at('go on');
  return next.handle().pipe(tap({ error: () => stage.note('refused') }));
});
const Retry = around((_stage, next) => next.handle().pipe(retry(1)));

@UseGuards(WatchClose)
@Controller(':id')
class Endings {
  @CacheLock({ key })
  @Post('ok')
  ok(@Param('id') id: string): Promise<string> {
    return work(id);
  }

  @CacheLock({ key })
  @Post('reject')
  reject(@Param('id') id: string): Promise<never> {
    return reject(id);
  }

  @Post('throws')
  @CacheLock({ key })
  throws(@Param('id') id: string): never {
    return throws(id);
  }

  @CacheLock({ key })
  @Post('pipe')
  pipe(@Query('n', ParseIntPipe) n: number): number {
    return n;
  }

  @UseGuards(Deny)
  @CacheLock({ key })
  @Post('denied')
  denied(): void {}

  @CacheLock({ key })
  @UseInterceptors(ThrowBefore)
  @Post('outside')
  outside(): void {}

  @CacheLock({ key })
  @UseInterceptors(Timeout)
  @Post('timeout')
  timeout(@Param('id') id: string): Promise<string> {
    return work(id);
  }

  @CacheLock({ key })
  @UseInterceptors(Commit)
  @Post('commit')
  commit(@Param('id') id: string): Promise<string> {
    return work(id);
  }

  @CacheLock({ key })
  @Post('later')
  later(@Param('id') id: string, @Res() response: ServerResponse & { raw?: ServerResponse }): void {
    void work(id).then(() => (response.raw ?? response).end('later'));
  }

  @CacheLock({ key })
  @Post('silent')
  silent(@Param('id') id: string, @Res() _response: unknown): void {
    void work(id);
  }

  @CacheLock({ key })
  @UseInterceptors(Delay)
  @Post('delay')
  delay(@Param('id') id: string): Promise<string> {
    return work(id);
  }

  @CacheLock({ key })
  @Post('observable')
  observable(@Param('id') id: string): Observable<string> {
    return observe(id);
  }

  @CacheLock({ key, onCancel: 'teardown' })
  @Post('teardown')
  teardown(@Param('id') id: string): Observable<string> {
    return observe(id);
  }

  @CacheLock({ key })
  @Sse('sse')
  sse(@Param('id') id: string): Observable<{ data: string }> {
    return new Observable((subscriber) => {
      stageOf(id).note('started');
      subscriber.next({ data: 'first' });
      return () => stageOf(id).note('unsubscribed');
    });
  }

  @CacheLock({ key })
  @Post('stream')
  stream(@Param('id') id: string): StreamableFile {
    const stage = stageOf(id);
    const body = new Readable({ read: () => undefined });
    body.push('beginning');
    void stage.at('work').then(() => body.push(null));
    body.once('close', () => stage.note('stream closed'));
    stage.note('started');
    return new StreamableFile(body);
  }

  @CacheLock({ key })
  @UseInterceptors(Retry)
  @Post('retry')
  async retried(@Param('id') id: string): Promise<string> {
    const stage = stageOf(id);
    if (stage.log.includes('started')) return work(id);
    stage.note('started');
    throw new Error('the first time');
  }
}

describe.each<Platform>(['express', 'fastify'])('4.14 #2: endings of a locked request on %s', (platform) => {
  async function play() {
    const store = new ToldLocks();
    const { app, url } = await serve(platform, {
      imports: [TieredCacheModule.forRoot({ locks: { store } })],
      controllers: [Endings],
    });
    const locks = app.get(CacheLockService);
    const stage = newStage();
    return {
      stage,
      send: async (route: string) => {
        const { status, body } = await ask(`${url}/${stage.id}/${route}`, { method: 'POST' });
        return { status, body: String(body) };
      },
      async come(route: string, method = 'POST') {
        const { leave, begun } = leaver(`${url}/${stage.id}/${route}`, { method });
        const gone = async (): Promise<unknown> => (leave(), stage.seen('closed'));
        return { leave: gone, begun };
      },
      async closedToOthers(): Promise<void> {
        expect(stage.log).not.toContain('released');
        const { status, headers, body } = await ask(`${url}/${stage.id}/ok`, { method: 'POST' });
        expect(status).toBe(429);
        expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
        expect(JSON.parse(String(body))).toMatchObject({ statusCode: 429, code: 'resource_locked' });
      },
      async freeAfter(...log: string[]): Promise<void> {
        await stage.seen('released');
        expect(await locks.inspect(['policy', stage.id])).toBeUndefined();
        // The refused requests of others close, too; the last event is not theirs.
        expect(stage.log.filter((event) => event !== 'closed')).toEqual([...log, 'released']);
        expect(locks.stats().held).toBe(0);
      },
    };
  }

  commonEndings(play, {
    done: { status: 201, body: 'done' },
    rejected: { status: 404, body: expect.stringContaining('no such policy') as string },
    threw: { status: 500 },
    refusedByPipe: { status: 400 },
    timedOut: { status: 408 },
  });

  it('a later guard denies', async () => {
    const { send, freeAfter } = await play();
    expect((await send('denied')).status).toBe(403);
    await freeAfter();
  });

  it('an interceptor outside throws', async () => {
    const { stage, send, closedToOthers, freeAfter } = await play();
    const answer = send('outside');
    await stage.seen('outside');
    await closedToOthers();
    stage.open('answer');
    expect((await answer).status).toBe(404);
    await freeAfter('outside');
  });

  it('@Res() answers later', async () => {
    const { stage, send, closedToOthers, freeAfter } = await play();
    const answer = send('later');
    await stage.seen('started');
    await stage.settle();
    await closedToOthers();
    stage.open('work');
    expect((await answer).body).toBe('later');
    await freeAfter('started', 'worked');
  });

  it('the client leaves while an interceptor outside delays the handler, which never runs', async () => {
    const { stage, come, freeAfter } = await play();
    const client = await come('delay');
    await stage.seen('delayed');
    await client.leave();
    await freeAfter('delayed');
    stage.open('go on');
    await stage.seen('refused');
    expect(stage.log).not.toContain('started');
  });

  it('the client of an event stream leaves', async () => {
    const { stage, come, closedToOthers, freeAfter } = await play();
    const client = await come('sse', 'GET');
    await stage.seen('started');
    await stage.settle();
    await closedToOthers();
    await client.leave();
    await freeAfter('started', 'unsubscribed');
  });

  describe('and besides', () => {
    it("the client leaves; an Observable of onCancel: 'teardown' is unsubscribed from", async () => {
      const { stage, come, freeAfter } = await play();
      const client = await come('teardown');
      await stage.seen('started');
      await client.leave();
      await freeAfter('started', 'unsubscribed');
    });

    it('a stream is sent under the lock', async () => {
      const { stage, send, closedToOthers, freeAfter } = await play();
      const answer = send('stream');
      await stage.seen('started');
      await stage.settle();
      await closedToOthers();
      stage.open('work');
      expect((await answer).body).toBe('beginning');
      await freeAfter('started', 'stream closed');
    });

    it('the client leaves half-way through a stream', async () => {
      const { stage, come, freeAfter } = await play();
      const client = await come('stream');
      await client.begun;
      await client.leave();
      await stage.seen('released');
      expect(stage.log).toContain('stream closed');
      await freeAfter(...stage.log.filter((event) => event !== 'closed' && event !== 'released'));
    });

    it('the client of @Res() leaves, and nobody will answer', async () => {
      const { stage, come, freeAfter } = await play();
      const client = await come('silent');
      await stage.seen('started');
      await client.leave();
      stage.open('work');
      await freeAfter('started', 'worked');
    });

    it('an interceptor outside tries again, under the same lock', async () => {
      const { stage, send, closedToOthers, freeAfter } = await play();
      const answer = send('retry');
      await until(async () => stage.log.length === 2, 2000);
      await closedToOthers();
      stage.open('work');
      expect((await answer).status).toBe(201);
      await freeAfter('started', 'started', 'worked');
    });
  });
});
