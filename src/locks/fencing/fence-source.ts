import { CacheUsageError } from '../../core/errors/cache.error.js';
import type { Lease } from '../lease.js';

/** A lease, or its fencing token where the work is done elsewhere. */
export type FenceSource = Pick<Lease, 'keys' | 'fencingToken' | 'fencingTokenOf'> | bigint;

/** @throws CacheUsageError `invalid_option` for what is no token: a database would take `undefined` for NULL and refuse everybody, or nobody */
export function tokenOf(source: FenceSource): bigint {
  const token: unknown = typeof source === 'object' && source !== null ? source.fencingToken : source;
  if (typeof token === 'bigint' && token > 0n) return token;
  const found = typeof token === 'bigint' ? '0 or less: its lock store gives out no fences' : `a ${typeof token}`;
  throw new CacheUsageError(
    'invalid_option',
    `a lease, or its fencingToken (a bigint), is needed to fence; got ${found}`,
  );
}
