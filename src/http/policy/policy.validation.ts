import { CacheUsageError } from '../../core/errors/cache.error.js';
import {
  fail,
  fields,
  isBoolean,
  isCount,
  isFunction,
  isHeaderName,
  isLifetime,
  isText,
  listOf,
  matches,
  oneOf,
  resolvable,
  type Check,
} from '../../option-checks.js';
import type { ResponseCachePolicy } from './response-cache.policy.js';

const isComponent: Check = (value, field) => {
  const component = value as { name?: unknown; read?: unknown; covers?: unknown } | null | undefined;
  if (typeof component?.read === 'function' && Array.isArray(component.covers)) return;
  fail(field, 'a key component such as byQuery(...), called', value);
};

const isStatus: Check = (value, field) => {
  if (!Number.isInteger(value) || (value as number) < 200 || (value as number) > 599)
    fail(field, 'a status from 200 to 599', value);
};

const isDownstream: Check = (value, field) => {
  if (value !== false && (typeof value !== 'string' || value === ''))
    fail(field, `'auto', false or a Cache-Control value`, value);
};

const isInput = matches(
  /^(?:ip|url|context|(?:header|cookie|query|param|request):.+)$/,
  `an input such as 'header:user-agent', 'query:q' or 'ip'`,
);

/** By what it does: an application may have several classes of that name. */
const isStorage: Check = (value, field) => {
  const storage = value as { getStore?: unknown } | null | undefined;
  if (typeof storage !== 'object' || typeof storage?.getStore !== 'function')
    fail(field, 'an AsyncLocalStorage', value);
};

const isAutoVary: Check = (value, field) => {
  if (typeof value === 'boolean') return;
  fields({ ignore: listOf(isInput), ignoreContexts: listOf(isStorage) })(value, field);
  if (Object.keys(value as object).length === 0) fail(field, 'true, false or what is to be ignored', value);
};

/** One by one, so that what a function answers is checked like a value given outright. */
export const policyChecks = {
  extends: isText,
  mode: oneOf('ttl', 'rfc'),
  ttl: isLifetime,
  freshFor: isLifetime,
  staleWhileRevalidate: isLifetime,
  staleIfError: isLifetime,
  negativeTtl: isLifetime,
  hardTimeout: isLifetime,
  key: resolvable(listOf(isComponent)),
  principal: isFunction,
  vary: listOf(isHeaderName),
  cookies: listOf(isHeaderName),
  sessionCookies: listOf(isHeaderName),
  autoVary: isAutoVary,
  tags: resolvable(listOf(isText)),
  status: listOf(isStatus),
  maxBytes: isCount,
  maxVariants: isCount,
  bypass: isBoolean,
  shouldCache: isFunction,
  namespace: isText,
  clientDirectives: isBoolean,
  downstream: isDownstream,
  public: isBoolean,
  beforeGuards: isBoolean,
} satisfies Record<keyof ResponseCachePolicy, Check>;

/** Fields that may be a function of the call. */
export const OF_CONTEXT: ReadonlySet<string> = new Set([
  'ttl',
  'freshFor',
  'staleWhileRevalidate',
  'staleIfError',
  'negativeTtl',
  'hardTimeout',
  'vary',
  'status',
  'maxBytes',
  'maxVariants',
  'bypass',
  'clientDirectives',
  'downstream',
  'public',
]);

const isPolicy = fields(
  Object.fromEntries(
    Object.entries(policyChecks).map(([name, check]) => [name, OF_CONTEXT.has(name) ? resolvable(check) : check]),
  ),
);

/**
 * @param where names the policy in messages: `responses.base`, `@CachePage on BooksController.list`
 * @throws CacheUsageError `unknown_option`, `invalid_option`, `invalid_duration`, naming the field
 */
export function validatePolicy(policy: unknown, where: string): asserts policy is ResponseCachePolicy {
  isPolicy(policy, where);
}

/** Bytes, their variants, and what clients are told of them. */
const OF_WHOLE_RESPONSES = [
  'mode',
  'negativeTtl',
  'maxBytes',
  'maxVariants',
  'clientDirectives',
  'downstream',
  'beforeGuards',
] as const;

/**
 * Of a decorator that keeps values. What it takes over from the module may say more, for whole responses.
 * @throws CacheUsageError `invalid_option`
 */
export function validateForValues(policy: ResponseCachePolicy, where: string): void {
  const field = OF_WHOLE_RESPONSES.find((name) => policy[name] !== undefined);
  if (field !== undefined) throw wrong(`${where}.${field} is for whole responses; leave it out, or use @CachePage()`);
}

/** What the fields mean together; asked once all layers are known. */
export function validateWhole(policy: ResponseCachePolicy, where: string): void {
  if (policy.beforeGuards === true && policy.public !== true)
    throw wrong(
      `${where}.beforeGuards needs public: true; a route that guards decide about cannot be answered before them`,
    );
  if (policy.public === true && policy.principal !== undefined)
    throw wrong(`${where}.public and ${where}.principal contradict each other; leave one out`);
}

function wrong(message: string): CacheUsageError {
  return new CacheUsageError('invalid_option', message);
}
