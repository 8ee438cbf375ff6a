import 'reflect-metadata';
import { Injectable, UseGuards, UseInterceptors, type Type } from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import { ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import type { Observable } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import {
  allOf,
  CacheLock,
  CacheLockService,
  Lease,
  TieredCacheModule,
  type LockKeyContext,
  type TieredCacheOptions,
} from '../../../src/index.js';
import { boot, bootError, closeAll } from '../../nest/boot.js';
import { Commit, Deny, observe, reject, ThrowBefore, throws, Timeout, work } from './around.js';
import { commonEndings } from './endings.contract.js';
import { decorators, serveMessages, type TransportDecorators, type Transported } from './message.transports.js';
import { endStages, newStage, ToldLocks } from './stage.js';

afterEach(() => {
  endStages();
  return closeAll();
});

const key = ({ body, params }: LockKeyContext): readonly (string | undefined)[] => [
  'policy',
  (body['id'] ?? params['id']) as string,
];
const Refuse = {
  transform(): never {
    throw new RangeError('a pipe');
  },
};
/** Of two accounts, whose lease the test looks at. */
let seen: Lease | undefined;

interface Message {
  readonly id: string;
}

const NAMES = [
  'ok',
  'reject',
  'throws',
  'pipe',
  'denied',
  'outside',
  'timeout',
  'commit',
  'observable',
  'transfer',
] as const;

/** The same handlers for each transport. Decorators of interceptors: the lowest is the outermost. */
function handlers({ group, handles, message }: TransportDecorators): Type {
  @group()
  class Endings {
    @handles('ok')
    @CacheLock({ key })
    ok(@message() { id }: Message): Promise<string> {
      return work(id);
    }

    @CacheLock({ key })
    @handles('reject')
    reject(@message() { id }: Message): Promise<never> {
      return reject(id);
    }

    @handles('throws')
    @CacheLock({ key })
    throws(@message() { id }: Message): never {
      return throws(id);
    }

    @handles('pipe')
    @CacheLock({ key })
    pipe(@message(Refuse) _message: Message): string {
      return 'it ran';
    }

    @UseGuards(Deny)
    @CacheLock({ key })
    @handles('denied')
    denied(@message() _message: Message): string {
      return 'it ran';
    }

    @handles('outside')
    @CacheLock({ key })
    @UseInterceptors(ThrowBefore)
    outside(@message() _message: Message): string {
      return 'it ran';
    }

    @handles('timeout')
    @CacheLock({ key })
    @UseInterceptors(Timeout)
    timeout(@message() { id }: Message): Promise<string> {
      return work(id);
    }

    @handles('commit')
    @UseInterceptors(Commit)
    @CacheLock({ key })
    commit(@message() { id }: Message): Promise<string> {
      return work(id);
    }

    @handles('observable')
    @CacheLock({ key })
    observable(@message() { id }: Message): Observable<string> {
      return observe(id);
    }

    @handles('transfer')
    @CacheLock({ key: (call) => allOf(['account', 2], key(call) as [string, string]) })
    transfer(@message() _message: Message, @Lease() lease: Lease): string {
      seen = lease;
      return String(lease.isHeld);
    }
  }
  return Endings;
}

const MESSAGES = {
  resource_locked: 'The resource is in use by another request; try again shortly',
  invalid_lock_key: 'What the request names is incomplete or malformed',
};

/** In the way of the transport, and without the key. */
function refused(transport: Transported, code: keyof typeof MESSAGES): unknown {
  const retryAfterMs = code === 'resource_locked' ? { retryAfterMs: expect.any(Number) as number } : {};
  if (transport !== 'graphql') return { status: 'error', code, message: MESSAGES[code], ...retryAfterMs };
  return {
    message: MESSAGES[code],
    extensions: expect.objectContaining({ code: code.toUpperCase(), ...retryAfterMs }) as object,
  };
}

const TRANSPORTS: readonly Transported[] = ['rpc', 'ws', 'graphql'];

describe.each(TRANSPORTS)('4.14 #2: endings of a locked call by %s', (transport) => {
  async function calls(options: TieredCacheOptions = {}) {
    const store = new ToldLocks();
    const locked = { ...options, locks: { store, ...options.locks } };
    const { app, client } = await serveMessages(transport, handlers(decorators[transport]), NAMES, locked);
    const locks = app.get(CacheLockService);
    const stage = newStage();
    const send = (name: string) => client.send(name, { id: stage.id });
    return {
      store,
      locks,
      stage,
      send,
      client,
      come: (name: string) => client.come(name, { id: stage.id }),
      async closedToOthers(): Promise<void> {
        expect(stage.log).not.toContain('released');
        expect(await send('ok')).toMatchObject({ error: refused(transport, 'resource_locked') });
      },
      async freeAfter(...log: string[]): Promise<void> {
        await stage.seen('released');
        expect(await locks.inspect(['policy', stage.id])).toBeUndefined();
        expect(stage.log).toEqual([...log, 'released']);
        expect(locks.stats().held).toBe(0);
      },
    };
  }

  const failed = { error: expect.anything() as unknown };
  commonEndings(calls, {
    done: { answer: 'done' },
    rejected: { error: { message: transport === 'rpc' ? 'Internal server error' : 'no such policy' } },
    threw: failed,
    refusedByPipe: failed,
    timedOut: failed,
  });

  it('a later guard denies: nothing was locked', async () => {
    const { locks, stage, send } = await calls();
    expect(await send('denied')).toHaveProperty('error');
    expect(stage.log).toEqual([]);
    expect(locks.stats()).toMatchObject({ acquired: 0, held: 0 });
  });

  it('an interceptor outside throws: nothing was locked', async () => {
    const { locks, stage, send } = await calls();
    stage.open('answer');
    expect(await send('outside')).toHaveProperty('error');
    expect(stage.log).toEqual(['outside']);
    expect(locks.stats()).toMatchObject({ acquired: 0, held: 0 });
  });

  it('4.14 #18 a part of the key that is missing is no lock of everybody', async () => {
    const { locks, client } = await calls();
    expect(await client.send('ok', {})).toMatchObject({ error: refused(transport, 'invalid_lock_key') });
    expect(locks.stats().acquired).toBe(0);
  });

  it('hands the lease of all its keys to the handler', async () => {
    const { stage, send, freeAfter } = await calls();
    expect(await send('transfer')).toEqual({ answer: 'true' });
    await freeAfter();
    expect(seen?.keys).toEqual(['/account/2', `/policy/${stage.id}`]);
    expect(seen?.isHeld).toBe(false);
  });
});

/** A gateway's calls end with their socket; a server of RPC or GraphQL is told nothing. */
describe('4.14 #19 the socket dies', () => {
  async function calls() {
    const store = new ToldLocks();
    const options = { locks: { store, wait: '10s' } } as const;
    const { app, client } = await serveMessages('ws', handlers(decorators.ws), NAMES, options);
    const stage = newStage();
    return { store, stage, locks: app.get(CacheLockService), come: () => client.come('ok', { id: stage.id }) };
  }

  it('while it waits for the lock: the handler never runs, and nothing is left', async () => {
    const { stage, locks, come } = await calls();
    const held = await locks.acquire(['policy', stage.id]);
    const client = await come();
    await expect.poll(() => locks.inspect(['policy', stage.id])).toMatchObject({ waiting: 1 });
    await client.leave();
    await expect.poll(() => locks.inspect(['policy', stage.id])).toMatchObject({ waiting: 0 });
    await held.release();
    expect(await locks.inspect(['policy', stage.id])).toBeUndefined();
    expect(stage.log).toEqual(['released']);
  });

  it('before the store has answered: the lock is given back, and the handler never runs', async () => {
    const { stage, store, locks, come } = await calls();
    const acquire = store.acquire.bind(store);
    store.acquire = async (...args) => {
      const answer = await acquire(...args);
      stage.note('granted');
      await stage.at('answer');
      return answer;
    };
    const client = await come();
    await stage.seen('granted');
    await client.leave();
    await stage.settle();
    stage.open('answer');
    await stage.seen('released');
    expect(stage.log).toEqual(['granted', 'released']);
    expect(await locks.inspect(['policy', stage.id])).toBeUndefined();
  });
});

describe('fields and subscriptions of GraphQL', () => {
  it.each([
    ['a field', ResolveField()],
    ['a subscription', Subscription('changed')],
  ])('%s cannot be locked: the boot is stopped', async (_what, decorate) => {
    @Resolver('Policy')
    class Policies {
      @CacheLock({ key: 'k' })
      @decorate
      budget(): string {
        return 'it ran';
      }
    }
    expect(await bootError([TieredCacheModule.forRoot()], [Policies])).toMatchObject({ code: 'unsupported_lock' });
  });

  it.each([
    ['a field that is no root', { path: { prev: {} } }],
    ['a subscription', { operation: { operation: 'subscription' } }],
  ])('%s that was not seen at boot is refused, not run without a lock', async (_what, info) => {
    @Injectable()
    class Late {
      @CacheLock({ key: 'k' })
      field(): string {
        return 'it ran';
      }
    }
    const app = await boot([TieredCacheModule.forRoot()], [Late]);
    const late = app.get(Late);
    const call = app
      .get(ExternalContextCreator)
      .create(late, late.field, 'field', '', undefined, undefined, undefined, undefined, 'graphql');
    await expect((async () => (await call(undefined, {}, {}, info)) as unknown)()).rejects.toMatchObject({
      code: 'unsupported_lock',
    });
  });
});
