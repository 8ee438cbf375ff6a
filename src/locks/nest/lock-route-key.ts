import type { IncomingHttpHeaders } from 'node:http';
import type { ExecutionContext } from '@nestjs/common';
import type { KeyPart } from '../../core/cache.options.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { requestViewOf } from '../../http/policy/request-view-of.js';
import { KeySet, type LockTarget } from '../lock-key.js';

type Input = Readonly<Record<string, KeyPart>>;

/**
 * What the key of a call is made from. Guards run before pipes: everything is as the client sent it, and a field may be missing. Outside
 * HTTP `body` is the message, and `params` the arguments of a resolver.
 */
export interface LockKeyContext {
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: Input;
  readonly body: Input;
  readonly headers: Readonly<IncomingHttpHeaders>;
  /** What a guard before this one has put at `request.user`. */
  readonly user: { readonly [name: string]: KeyPart } | undefined;
  /** The framework's request; a gateway's client. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly context: ExecutionContext;
  /** What Nest calls the handler with. */
  readonly args: readonly unknown[];
}

/** A function written for more than is known here, e.g. `(call: LockKeyContext & { body: RedeemDto }) => ...`. */
export type LockRouteKey = LockTarget | { of(call: LockKeyContext): LockTarget }['of'];

const NOTHING: Input = Object.freeze({});
const PARTS = new Set(['string', 'number', 'bigint', 'boolean']);

/**
 * The keys of one call.
 * @throws CacheUsageError `invalid_lock_key` for a part that is missing, or is no text, number or boolean: a client may send anything
 */
export function lockTargetOf(key: LockRouteKey, context: ExecutionContext): LockTarget {
  if (typeof key !== 'function') return key;
  const target = key(keyContextOf(context)) as LockTarget | undefined | null;
  for (const one of target instanceof KeySet ? target.keys : [target]) {
    const parts: readonly unknown[] = Array.isArray(one) ? one : [one];
    if (parts.length === 0 || !parts.every((part) => part !== '' && PARTS.has(typeof part))) throw malformed();
    if (parts.some((part) => typeof part === 'number' && !Number.isFinite(part))) throw malformed();
  }
  return target as LockTarget;
}

export function keyContextOf(context: ExecutionContext): LockKeyContext {
  const view = requestViewOf(context);
  const request = view?.request ?? NOTHING;
  const body = view?.kind === 'http' ? request['body'] : view?.kind === 'graphql' ? undefined : view?.payload;
  return {
    params: (view?.params ?? NOTHING) as LockKeyContext['params'],
    query: (view?.query ?? NOTHING) as Input,
    body: (body ?? NOTHING) as Input,
    headers: view?.headers ?? {},
    user: view?.user as LockKeyContext['user'],
    request,
    context,
    args: context.getArgs(),
  };
}

function malformed(): CacheUsageError {
  return new CacheUsageError(
    'invalid_lock_key',
    'a part of the key of the lock is missing, or is neither text, number nor boolean; without it unrelated callers would share one lock',
  );
}
