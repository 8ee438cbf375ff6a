import { randomFillSync } from 'node:crypto';

const pool = Buffer.alloc(4096);
let next = pool.length;

/** So many random bytes in base64url: unpredictable, and given once. From a pool, since each question to OpenSSL takes 2 us. */
export function randomText(bytes: number): string {
  if (next + bytes > pool.length) {
    randomFillSync(pool);
    next = 0;
  }
  return pool.toString('base64url', next, (next += bytes));
}
