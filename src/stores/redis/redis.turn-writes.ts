import { isCluster, type RedisClient } from './redis.driver.js';

/**
 * Sends what is written in the rest of a turn of the event loop in one write: a write of its own costs a command more than all else
 * that this process does for it. Nothing on a cluster, where each server has a connection.
 */
export class TurnWrites {
  #isJoining = false;

  join(client: RedisClient): void {
    if (this.#isJoining || isCluster(client)) return;
    const { stream } = client;
    this.#isJoining = true;
    stream.cork();
    process.nextTick(() => {
      this.#isJoining = false;
      stream.uncork();
    });
  }
}
