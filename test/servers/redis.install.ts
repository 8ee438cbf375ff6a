import { installPackages, unpackPackages } from './debian.packages.js';
import { findRedisBinary, UNPACKED } from './redis.binary.js';
import type { RedisBinary } from './redis.binary.js';

/**
 * Makes sure that this machine has a redis-server: the one that is there, else Debian's package, installed as root or else unpacked into
 * the temp directory.
 * @throws Error with what to install when neither works. Never skipped: a run without its server would prove nothing.
 */
export function ensureRedisBinary(): RedisBinary {
  const present = findRedisBinary();
  if (present) return present;
  const log: string[] = [];
  if (process.platform === 'linux') {
    if (process.getuid?.() === 0) installPackages(log, ['redis-server']);
    const installed = findRedisBinary();
    if (installed) return installed;
    unpackPackages(log, { name: 'redis-server', take: /^redis-tools$/, proof: 'usr/bin/redis-server', into: UNPACKED });
  }
  const binary = findRedisBinary();
  if (binary) return binary;
  throw new Error(
    'The tests need a real redis-server (6 or newer) and none could be found or installed.\n' +
      'Install it (Debian/Ubuntu: apt-get install redis-server; Alpine: apk add redis; macOS: brew install redis)\n' +
      `or name its path in TC_REDIS_SERVER.\n${log.join('\n')}`,
  );
}
