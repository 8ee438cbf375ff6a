import { CacheUsageError } from '../core/errors/cache.error.js';

/** A lease on its way to another process. */
export interface LeaseToken {
  readonly owner: string;
  readonly leaseMs: number;
  readonly maxHoldMs: number;
  readonly holds: ReadonlyArray<{ readonly encoded: string; readonly store: string; readonly fence: bigint }>;
}

export function encodeLeaseToken({ owner, leaseMs, maxHoldMs, holds }: LeaseToken): string {
  const locks = holds.map(({ encoded, store, fence }) => [encoded, store, String(fence)]);
  return Buffer.from(
    JSON.stringify([1, owner, leaseMs, Number.isFinite(maxHoldMs) ? maxHoldMs : null, locks]),
  ).toString('base64url');
}

/** @throws CacheUsageError `invalid_lease_token` */
export function decodeLeaseToken(text: string): LeaseToken {
  try {
    const [version, owner, leaseMs, maxHoldMs, locks] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [
      unknown,
      unknown,
      unknown,
      unknown,
      Array<[string, string, string]>,
    ];
    const isSound = version === 1 && typeof owner === 'string' && typeof leaseMs === 'number' && leaseMs > 0;
    if (isSound && locks.length > 0) {
      const holds = locks.map(([encoded, store, fence]) => ({ encoded, store, fence: BigInt(fence) }));
      return { owner, leaseMs, maxHoldMs: typeof maxHoldMs === 'number' ? maxHoldMs : Infinity, holds };
    }
  } catch {
    // Nothing of it is repeated: it names an owner.
  }
  throw new CacheUsageError('invalid_lease_token', 'restore() needs the token of a lease, unchanged');
}
