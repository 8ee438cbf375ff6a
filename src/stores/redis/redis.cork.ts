import { isCluster, type RedisClient } from './redis.driver.js';

/** Sends all commands that `send` issues in one write per connection instead of one write per command. */
export function inOneWrite<T>(client: RedisClient, send: () => T): T {
  const nodes = isCluster(client) ? client.nodes('all') : [client];
  // The socket is not typed as absent, but before the first connection it is.
  const sockets = nodes.map((node) => node.stream as typeof node.stream | undefined);
  for (const socket of sockets) socket?.cork();
  try {
    return send();
  } finally {
    for (const socket of sockets) socket?.uncork();
  }
}
