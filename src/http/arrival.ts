import type { ExecutionContext } from '@nestjs/common';
import type { BypassedPage } from './keys/page-key.js';
import type { PageRequest } from './page-request.js';
import type { Recording } from './policy/record-reads.js';
import type { RequestView } from './policy/request-view.js';
import type { Found } from './response-cache.js';
import { rawRequestOf, rawResponseOf } from './wire/index.js';

/** What is known of a request before the interceptors of its handler run. */
export interface Arrival {
  /** The key it came with: an interceptor may change what the key is made of. `undefined`: it was not asked for. */
  readonly primary?: string;
  readonly found?: Found;
  /** Of {@link found}: an interceptor may fill a storage. */
  readonly contexts?: string | undefined;
  /** What was asked for, by a handler of which nobody but guards has seen the request since. */
  readonly asked?: PageRequest | BypassedPage;
  /** Where the handler will run: what the interceptors read. */
  readonly recording?: Recording;
}

const ARRIVAL = Symbol('nestjs-tiered-cache:arrival');

type Arrived = { [ARRIVAL]?: Left | undefined };

interface Left extends Arrival {
  readonly stop?: () => void;
}

export function leaveArrival({ raw, context }: RequestView, arrival: Arrival): void {
  const { recording } = arrival;
  const stop = recording && ((): void => void recording.stop());
  (raw as Arrived)[ARRIVAL] = stop ? { ...arrival, stop } : arrival;
  // An interceptor may answer, or fail, by itself: who logs the response must see the request as it came.
  if (!stop) return;
  const response = rawResponseOf(context.switchToHttp().getResponse());
  response.prependOnceListener('finish', stop);
  // Its client has left.
  response.once('close', stop);
}

/** Once; the request is again as it came. */
export function takeArrival(context: ExecutionContext): Arrival | undefined {
  if (context.getType<string>() !== 'http') return undefined;
  const raw = rawRequestOf(context.getArgByIndex(0)) as Arrived;
  const arrival = raw[ARRIVAL];
  if (arrival === undefined) return undefined;
  raw[ARRIVAL] = undefined;
  if (arrival.stop) {
    rawResponseOf(context.switchToHttp().getResponse()).off('finish', arrival.stop).off('close', arrival.stop);
    arrival.stop();
  }
  return arrival;
}
