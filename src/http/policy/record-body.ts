import type { InputName } from './input-name.js';
import type { PatchedRequest } from './patched-request.js';
import { recordedBag } from './recorded-bag.js';

/**
 * Watches the body of a request that has none: what is there, middleware or a guard has put there. That there is nothing may be read as a whole,
 * by a logger.
 */
export function recordBody(patched: PatchedRequest, target: object, note: (name: InputName) => void): void {
  if (!Object.hasOwn(target, 'body')) return;
  const body = Reflect.get(target, 'body') as unknown;
  if (body === undefined || body === null) return;
  if (typeof body !== 'object') return patched.watch(target, 'body', () => note('request:body'));
  const recorded = recordedBag(body, () => note('request:body'));
  patched.replace(target, 'body', () => recorded);
}
