import type { Lifetime } from '../../core/clock/duration.js';
import { validatePolicy } from './policy.validation.js';
import type { ResponseCachePolicy } from './response-cache.policy.js';

const LIFETIME = /^(?:forever|\d+(?:\.\d+)?(?:ms|s|m|h|d))$/;

/** What a decorator was given, as a policy: a text that is no lifetime is the name of a policy. */
export function policyOf(given: ResponseCachePolicy | Lifetime | string, where: string): ResponseCachePolicy {
  const policy =
    typeof given === 'number' || (typeof given === 'string' && LIFETIME.test(given))
      ? { ttl: given as Lifetime }
      : typeof given === 'string'
        ? { extends: given }
        : given;
  validatePolicy(policy, where);
  return policy;
}
