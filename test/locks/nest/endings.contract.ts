import { expect, it } from 'vitest';
import type { Stage } from './stage.js';

/** An application with locked handlers, and the means to call them. */
export interface Scene {
  readonly stage: Stage;
  /** Calls a handler, and resolves to what the caller is told. */
  send(name: string): Promise<unknown>;
  /** Calls a handler, as somebody who does not stay; `leave` resolves when the server knows. */
  come(name: string): Promise<{ leave(): Promise<unknown> }>;
  /** 4.14 #1: nobody else gets in. */
  closedToOthers(): Promise<void>;
  /** The lock is free, was given up once, and after what the log says. */
  freeAfter(...log: string[]): Promise<void>;
}

/** What callers are told, in the way of the transport. */
export interface Told {
  readonly done: object;
  readonly rejected: object;
  readonly threw: object;
  readonly refusedByPipe: object;
  readonly timedOut: object;
}

/** 4.14 #2: endings that a locked call has on every transport. */
export function commonEndings(play: () => Promise<Scene>, told: Told): void {
  it('ok; 4.14 #1 meanwhile another one is refused', async () => {
    const { stage, send, closedToOthers, freeAfter } = await play();
    const answer = send('ok');
    await stage.seen('started');
    await closedToOthers();
    stage.open('work');
    expect(await answer).toMatchObject(told.done);
    await freeAfter('started', 'worked');
  });

  it('the handler rejects, and is told in its own words', async () => {
    const { stage, send, closedToOthers, freeAfter } = await play();
    const answer = send('reject');
    await stage.seen('started');
    await closedToOthers();
    stage.open('work');
    expect(await answer).toMatchObject(told.rejected);
    await freeAfter('started', 'worked');
  });

  it('the handler throws', async () => {
    const { send, freeAfter } = await play();
    expect(await send('throws')).toMatchObject(told.threw);
    await freeAfter('started');
  });

  it('a pipe throws', async () => {
    const { send, freeAfter } = await play();
    expect(await send('pipe')).toMatchObject(told.refusedByPipe);
    await freeAfter();
  });

  it('an interceptor outside answers by a timeout; the handler runs on', async () => {
    const { stage, send, closedToOthers, freeAfter } = await play();
    const answer = send('timeout');
    await stage.seen('started');
    stage.open('timeout');
    expect(await answer).toMatchObject(told.timedOut);
    await stage.settle();
    await closedToOthers();
    stage.open('work');
    await freeAfter('started', 'worked');
  });

  it('a transaction around the handler commits after it', async () => {
    const { stage, send, closedToOthers, freeAfter } = await play();
    const answer = send('commit');
    stage.open('work');
    await stage.seen('committing');
    await stage.settle();
    await closedToOthers();
    stage.open('commit');
    expect(await answer).toMatchObject(told.done);
    await freeAfter('started', 'worked', 'committing', 'committed');
  });

  it('the client leaves; the promise runs on', async () => {
    const { stage, come, closedToOthers, freeAfter } = await play();
    const client = await come('ok');
    await stage.seen('started');
    await client.leave();
    await stage.settle();
    await closedToOthers();
    stage.open('work');
    await freeAfter('started', 'worked');
  });

  it('the client leaves before a transaction commits', async () => {
    const { stage, come, closedToOthers, freeAfter } = await play();
    const client = await come('commit');
    await stage.seen('started');
    await client.leave();
    stage.open('work');
    await stage.seen('committing');
    await stage.settle();
    await closedToOthers();
    stage.open('commit');
    await freeAfter('started', 'worked', 'committing', 'committed');
  });

  it('the client leaves; an Observable is drained under the lock', async () => {
    const { stage, come, closedToOthers, freeAfter } = await play();
    const client = await come('observable');
    await stage.seen('started');
    await client.leave();
    await stage.settle();
    await closedToOthers();
    stage.open('work');
    await freeAfter('started', 'worked', 'unsubscribed');
  });
}
