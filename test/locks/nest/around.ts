import { NotFoundException, RequestTimeoutException, type CanActivate } from '@nestjs/common';
import { concatMap, from, mergeMap, Observable, race, throwError } from 'rxjs';
import { around, stageOf } from './stage.js';

/** What may stand around a locked handler, and a handler that waits for the test: the same for all transports. */

export const Deny: CanActivate = { canActivate: () => false };
export const ThrowBefore = around(async (stage) => {
  stage.note('outside');
  await stage.at('answer');
  return throwError(() => new NotFoundException('outside'));
});
export const Commit = around((stage, next) =>
  next.handle().pipe(
    concatMap(async (value) => {
      stage.note('committing');
      await stage.at('commit');
      stage.note('committed');
      return value as unknown;
    }),
  ),
);
export const Timeout = around((stage, next) =>
  race(next.handle(), from(stage.at('timeout')).pipe(mergeMap(() => throwError(() => new RequestTimeoutException())))),
);

/** Works until the test lets it. */
export async function work(id: string): Promise<string> {
  const stage = stageOf(id);
  stage.note('started');
  await stage.at('work');
  stage.note('worked');
  return 'done';
}

export async function reject(id: string): Promise<never> {
  await work(id);
  throw new NotFoundException('no such policy');
}

export function throws(id: string): never {
  stageOf(id).note('started');
  throw new TypeError('a mistake');
}

export function observe(id: string): Observable<string> {
  return new Observable((subscriber) => {
    void work(id).then((value) => {
      subscriber.next(value);
      subscriber.complete();
    });
    return () => stageOf(id).note('unsubscribed');
  });
}
