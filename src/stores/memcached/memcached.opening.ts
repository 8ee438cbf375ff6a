import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { login, NOOP } from './memcached.commands.js';
import { MemcachedLink, type MemcachedOutage } from './memcached.link.js';
import type { MemcachedTarget } from './memcached.options.js';

const ASKS_FOR_PASSWORD: MemcachedOutage = { reason: 'refused', detail: 'it asks for a user name and a password' };
const WRONG_PASSWORD: MemcachedOutage = { reason: 'refused', detail: 'it does not know this user name and password' };

/** Why there is no connection. */
export class MemcachedOpeningError extends Error {
  constructor(readonly outage: MemcachedOutage) {
    super(outage.detail ?? outage.reason);
  }
}

/**
 * Connects, greets and logs in, within `connectTimeout` and until `signal` is aborted.
 * @throws MemcachedOpeningError
 */
export async function openLink(target: MemcachedTarget, signal: AbortSignal): Promise<MemcachedLink> {
  const link = new MemcachedLink(socketTo(target));
  const close = (): void => link.end({ reason: 'closed' });
  signal.addEventListener('abort', close);
  const late = setTimeout(() => link.end({ reason: 'timeout' }), target.connectTimeout);
  try {
    await greet(link, target.login);
    return link;
  } catch (error) {
    // Without any: an answer that refused, and left the connection open.
    const outage = link.outage ?? { reason: 'refused' };
    link.end(outage);
    throw error instanceof MemcachedOpeningError ? error : new MemcachedOpeningError(outage);
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', close);
  }
}

function socketTo({ host, port, tls }: MemcachedTarget): Socket {
  const socket = tls ? connectSecure({ ...tls, host, port }) : connectPlain({ host, port });
  return socket.setNoDelay(true).setKeepAlive(true, 10_000);
}

async function greet(link: MemcachedLink, user: MemcachedTarget['login']): Promise<void> {
  if ((await link.ask('connect', NOOP)).status === 'MN') return;
  if (!user) throw new MemcachedOpeningError(ASKS_FOR_PASSWORD);
  const reply = await link.ask('connect', login(user.username, user.password));
  if (reply.status !== 'STORED') throw new MemcachedOpeningError(WRONG_PASSWORD);
}
