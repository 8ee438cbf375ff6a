import 'reflect-metadata';
import { Injectable, UseInterceptors, type Type } from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import { isObservable, lastValueFrom, Observable, type Subscription } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import {
  allOf,
  CacheLock,
  CacheLockService,
  Lease,
  TieredCacheModule,
  type LockKeyContext,
} from '../../../src/index.js';
import { boot, closeAll } from '../../nest/boot.js';
import { endStages, newStage, stageOf, ToldLocks } from './stage.js';

afterEach(() => {
  endStages();
  return closeAll();
});

const key = ({ body }: LockKeyContext): readonly (string | undefined)[] => ['policy', body['id'] as string];

/** Microservices, gateways and GraphQL are not installed: Nest's own way for callers of other kinds stands in for theirs. */
@Injectable()
class Messages {
  @CacheLock({ key })
  async promise({ id }: { id: string }): Promise<string> {
    const stage = stageOf(id);
    stage.note('started');
    await stage.at('work');
    stage.note('worked');
    return 'done';
  }

  @CacheLock({ key })
  async fails({ id }: { id: string }): Promise<never> {
    stageOf(id).note('started');
    throw new RangeError('its own');
  }

  @CacheLock({ key })
  observable(message: { id: string }): Observable<string> {
    return new Observable((subscriber) => {
      void this.promise(message).then((value) => {
        subscriber.next(value);
        subscriber.complete();
      });
    });
  }

  @CacheLock({ key: ({ params }) => ['policy', params['id']] })
  mutation(_root: unknown, { id }: { id: string }): Promise<string> {
    return this.promise({ id });
  }
}

type Kind = 'rpc' | 'ws' | 'graphql';

async function process(options: Parameters<typeof TieredCacheModule.forRoot>[0] = {}, type: Type = Messages) {
  const store = new ToldLocks();
  const app = await boot([TieredCacheModule.forRoot({ ...options, locks: { store, ...options.locks } })], [type]);
  const creator = app.get(ExternalContextCreator);
  const locks = app.get(CacheLockService);
  const stage = newStage();
  const client = { emitted: [] as unknown[], emit: (...args: unknown[]) => client.emitted.push(args) };
  const call = (kind: Kind, name: string, message: object = { id: stage.id }, info: object = {}): Promise<unknown> => {
    const instance = app.get<Record<string, (...args: unknown[]) => unknown>>(type);
    const method = instance[name] as (...args: unknown[]) => unknown;
    // What a gateway's handler is called with, less the client.
    const handler =
      kind === 'ws'
        ? Object.assign(function (_: unknown, ...rest: unknown[]) {
            return method.apply(instance, rest);
          }, {})
        : method;
    if (kind === 'ws')
      for (const at of Reflect.getMetadataKeys(method) as unknown[])
        Reflect.defineMetadata(at, Reflect.getMetadata(at, method), handler);
    const run = creator.create(instance, handler, name, '', undefined, undefined, undefined, undefined, kind);
    if (kind === 'ws') return run(client, message) as Promise<unknown>;
    return (kind === 'rpc' ? run(message, {}) : run(undefined, message, {}, info)) as Promise<unknown>;
  };
  return { app, store, locks, stage, client, call };
}

/** As a server does with what a handler's proxy gives back. */
async function reply(given: Promise<unknown>): Promise<unknown> {
  const result = await given;
  return isObservable(result) ? lastValueFrom(result) : result;
}

async function failure(given: Promise<unknown>): Promise<unknown> {
  try {
    await reply(given);
  } catch (error) {
    return error;
  }
  throw new Error('it should have failed');
}

const LOCKED = {
  status: 'error',
  code: 'resource_locked',
  message: 'The resource is in use by another request; try again shortly',
  retryAfterMs: expect.any(Number) as number,
};

describe('4.14 #2 and #1 by messages', () => {
  it('rpc: held while the handler runs; another one fails with a message', async () => {
    const { stage, call, locks } = await process();
    const answer = reply(call('rpc', 'promise'));
    await stage.seen('started');
    expect(await failure(call('rpc', 'promise'))).toEqual(LOCKED);
    expect(await failure(call('rpc', 'observable'))).toEqual(LOCKED);
    stage.open('work');
    expect(await answer).toBe('done');
    // Who has the answer finds the lock free.
    expect(await locks.inspect(['policy', stage.id])).toBeUndefined();
    expect(stage.log).toEqual(['started', 'worked', 'released']);
  });

  it('rpc: an error of the handler is its own', async () => {
    const { stage, call, locks } = await process();
    expect(await failure(call('rpc', 'fails'))).toBeInstanceOf(RangeError);
    expect(await locks.inspect(['policy', stage.id])).toBeUndefined();
  });

  it('ws: another one is told by the event "exception"', async () => {
    const { stage, call, client } = await process();
    const answer = reply(call('ws', 'promise'));
    await stage.seen('started');
    await call('ws', 'promise').catch(() => undefined);
    expect(client.emitted).toEqual([['exception', LOCKED]]);
    stage.open('work');
    expect(await answer).toBe('done');
    await stage.seen('released');
  });

  it('graphql: another one gets an error with extensions', async () => {
    const { stage, call } = await process();
    const answer = reply(call('graphql', 'mutation'));
    await stage.seen('started');
    const refused = await failure(call('graphql', 'mutation'));
    expect(refused).toMatchObject({ extensions: { code: 'RESOURCE_LOCKED', http: { status: 429 } } });
    expect(JSON.stringify((refused as { extensions: object }).extensions)).not.toContain(stage.id);
    stage.open('work');
    expect(await answer).toBe('done');
    await stage.seen('released');
  });

  it.each([
    ['a field that is no root', { path: { prev: {} } }],
    ['a subscription', { operation: { operation: 'subscription' } }],
  ])('graphql: %s is refused, not run without a lock', async (_what, info) => {
    const { stage, call } = await process();
    expect(await failure(call('graphql', 'mutation', { id: stage.id }, info))).toMatchObject({
      code: 'unsupported_lock',
    });
    expect(stage.log).toEqual([]);
  });

  it.each<Kind>(['rpc', 'ws'])('%s: a part of the key that is missing is no lock of everybody', async (kind) => {
    const { call, client } = await process();
    const told = { status: 'error', code: 'invalid_lock_key', message: expect.any(String) as string };
    if (kind === 'rpc') expect(await failure(call('rpc', 'promise', {}))).toEqual(told);
    else {
      await call('ws', 'promise', {}).catch(() => undefined);
      expect(client.emitted).toEqual([['exception', told]]);
    }
  });
});

let left: Subscription | undefined;

@Injectable()
class Leaving {
  @CacheLock({ key })
  @UseInterceptors({
    intercept: (_context, next) =>
      new Observable((subscriber) => {
        left = next.handle().subscribe(subscriber);
      }),
  })
  promise(message: { id: string }): Promise<string> {
    return new Messages().promise(message);
  }
}

/** Nest unsubscribes when a socket closes; the interceptor's Observable is in hand here, as it is in Nest's. */
describe('4.14 #2: who listened is gone', () => {
  it('the socket dies; the promise runs on under the lock', async () => {
    const { stage, call, locks } = await process({}, Leaving);
    void call('rpc', 'promise').catch(() => undefined);
    await stage.seen('started');
    left?.unsubscribe();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await locks.tryAcquire(['policy', stage.id])).toBeUndefined();
    stage.open('work');
    await stage.seen('released');
    expect(stage.log).toEqual(['started', 'worked', 'released']);
  });

  it('while it waits for the lock: the handler never runs, and nothing is left', async () => {
    const { stage, call, locks } = await process({ locks: { wait: '10s' } }, Leaving);
    const held = await locks.acquire(['policy', stage.id]);
    left = undefined;
    void call('rpc', 'promise').catch(() => undefined);
    await expect.poll(() => locks.inspect(['policy', stage.id])).toMatchObject({ waiting: 1 });
    left!.unsubscribe();
    await expect.poll(() => locks.inspect(['policy', stage.id])).toMatchObject({ waiting: 0 });
    await held.release();
    expect(await locks.inspect(['policy', stage.id])).toBeUndefined();
    expect(stage.log).toEqual(['released']);
  });
});

describe('4.14 #2: who listened is gone before the store has answered', () => {
  it('the lock is given back, and the handler never runs', async () => {
    const { stage, store, call, locks } = await process({}, Leaving);
    const acquire = store.acquire.bind(store);
    store.acquire = async (...args) => {
      const answer = await acquire(...args);
      stage.note('granted');
      await stage.at('answer');
      return answer;
    };
    void call('rpc', 'promise').catch(() => undefined);
    await stage.seen('granted');
    left?.unsubscribe();
    stage.open('answer');
    await stage.seen('released');
    expect(stage.log).toEqual(['granted', 'released']);
    expect(await locks.inspect(['policy', stage.id])).toBeUndefined();
  });
});

describe('@Lease() and several keys', () => {
  let seen: Lease | undefined;

  @Injectable()
  class Transfers {
    @CacheLock({ key: ({ body }) => allOf(['account', body['from'] as string], ['account', body['to'] as string]) })
    transfer(_message: object): void {
      seen = locksOf?.current() as Lease;
    }
  }
  let locksOf: CacheLockService | undefined;

  it('one lease of all keys is around the handler', async () => {
    const { call, locks } = await process({}, Transfers);
    locksOf = locks;
    await reply(call('rpc', 'transfer', { from: 2, to: '1' }));
    expect(seen?.keys).toEqual(['/account/1', '/account/2']);
    expect(seen?.isHeld).toBe(false);
  });
});
