import type { KeyPart } from '../../core/cache.options.js';
import type { RequestView } from '../policy/request-view.js';
import { Bypass } from './bypass.js';
import type { KeyComponent } from './key-component.js';
import { shortText } from './key-text.js';

/** Who asks. Nothing, or an empty string, is nobody: such a request goes past the cache. */
export type PrincipalId = string | number | bigint | null | undefined;

/**
 * The signed-in user. A request without one goes past the cache; it is never taken for "anonymous".
 * @param select default: `id` or else `sub` of `request.user`, or `request.user` itself if it is a string or number
 * @example byUser((view) => `${view.user.id}:${view.user.permissionsVersion}`)
 */
export function byUser(select?: (view: RequestView) => PrincipalId): KeyComponent {
  if (select !== undefined) return principal('user', select, true);
  return { ...principal('user', ({ user }) => userId(user), false), covers: ['request:user'] };
}

/**
 * The tenant: for responses that all users of a tenant share. A request without one goes past the cache; the response of a handler that
 * looks at the user, or at credentials, is not stored.
 * @example byTenant((view) => view.request.tenantId)
 */
export function byTenant(select: (view: RequestView) => PrincipalId): KeyComponent {
  return principal('tenant', select, true);
}

/** As a part of a key: numbers and strings of the same digits are two principals. */
export function principalPart(id: unknown): KeyPart | Bypass {
  if (typeof id === 'string') return id === '' ? new Bypass('principal') : shortText(id);
  if (typeof id === 'bigint' || (typeof id === 'number' && Number.isFinite(id))) return id;
  return new Bypass('principal');
}

function principal(
  name: 'user' | 'tenant',
  select: (view: RequestView) => PrincipalId,
  isLearned: boolean,
): KeyComponent {
  return {
    name,
    covers: [],
    isLearned,
    principal: name,
    read: (view) => principalPart(select(view)),
  };
}

function userId(user: unknown): PrincipalId {
  if (typeof user !== 'object' || user === null) return user as PrincipalId;
  const { id, sub } = user as { id?: PrincipalId; sub?: PrincipalId };
  return id ?? sub;
}
