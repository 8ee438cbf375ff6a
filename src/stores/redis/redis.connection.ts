import type { Cluster } from 'ioredis';
import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import { inOneWrite } from './redis.cork.js';
import { isCluster, ownClient, type RedisClient } from './redis.driver.js';
import { refusalCode, unavailable } from './redis.errors.js';
import { linkOptions, ownConnectionOptions, type RedisStoreOptions } from './redis.options.js';
import { closeClient, firstOutcome } from './redis.lifecycle.js';
import { evalsha, isUnknown, RedisScriptLoader, type RedisArgument } from './redis.script-loader.js';
import type { RedisScript } from './redis.scripts.js';
import { TurnWrites } from './redis.turn-writes.js';
import { cut, guardHandshake, RedisWatchdog } from './redis.watchdog.js';

const RECONNECT_MS = 250;
const ignore = (): undefined => {};

/** The connection that commands travel on: lent by the user, or opened here and then kept alive until `close`. */
export class RedisConnection {
  /** For who runs several in one command. */
  readonly scripts = new RedisScriptLoader();
  readonly #writes = new TurnWrites();
  readonly #watchdog = new RedisWatchdog();
  readonly #lent: RedisClient | undefined;
  #client: RedisClient | undefined;
  #started: Promise<void> | undefined;
  #reconnect: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    private readonly options: RedisStoreOptions,
    private readonly onClient: (client: RedisClient) => void,
    /** What a reply waits for before it is handed over. */
    private readonly beforeReply: () => Promise<unknown> | undefined = ignore,
  ) {
    this.#lent = options.client ?? options.store?.client;
  }

  /** Connects in the background. Settles when the first attempt has, never rejects. */
  start(): Promise<void> {
    this.#started ??= this.#begin().catch(() => {});
    return this.#started;
  }

  /**
   * Runs a command if the connection is ready; only the very first attempt to connect is waited for.
   * @throws StoreUnavailableError in place of every driver error
   */
  run<T>(operation: string, command: (client: RedisClient) => Promise<T>): Promise<T> {
    const client = this.#usable();
    if (client) return this.#send(client, operation, command);
    return this.#firstUse(operation).then((first) => this.#send(first, operation, command));
  }

  /**
   * Runs a script as {@link run} does a command. Of those that are sent in one turn while others are under way, all travel in one write.
   * @throws StoreUnavailableError in place of every driver error
   */
  runScript<T>(
    operation: string,
    script: RedisScript,
    keys: string[],
    args: RedisArgument[],
    read: (reply: unknown) => T,
  ): Promise<T> {
    const client = this.#usable();
    if (!client) return this.#firstUse(operation).then(() => this.runScript(operation, script, keys, args, read));
    if (this.#watchdog.isDue) this.#writes.join(client);
    const due = this.#watchdog.begin();
    return attempt(() => evalsha(client, script, keys, args)).then(
      (reply) => {
        this.#watchdog.end(due, true);
        const waiting = this.beforeReply();
        return waiting ? waiting.then(() => read(reply)) : read(reply);
      },
      (error: unknown) => {
        this.#watchdog.end(due, refusalCode(error) !== undefined);
        if (!isUnknown(error)) throw unavailable(operation, error);
        return this.#send(client, operation, () => this.scripts.loadAndRun(client, script, keys, args)).then(read);
      },
    );
  }

  /**
   * Runs a script once for each name, for they may live on different servers, but all in one write.
   * @param call what it is run with, asked for once there is a connection
   * @throws StoreUnavailableError in place of every driver error
   */
  async runEach(
    operation: string,
    script: RedisScript,
    names: readonly string[],
    call: (name: string) => { keys: string[]; args: RedisArgument[] },
  ): Promise<unknown[]> {
    if (names.length === 0) return [];
    return this.run(operation, (client) =>
      inOneWrite(client, () =>
        Promise.all(
          names.map((name) => {
            const { keys, args } = call(name);
            return this.scripts.run(client, script, keys, args);
          }),
        ),
      ),
    );
  }

  /** Whether others may send commands on it, too: the user who lent it. */
  get isLent(): boolean {
    return this.#lent !== undefined;
  }

  /** Whether a command would be sent at once, and no other is under way. */
  get isIdle(): boolean {
    return !this.#watchdog.isDue && this.#usable() !== undefined;
  }

  /** What is to be waited for before a command can be sent: the first connection; `undefined`: nothing. */
  opening(operation: string): Promise<unknown> | undefined {
    return this.#usable() ? undefined : this.#firstUse(operation);
  }

  /** Connects anew, unless the connection is lent. Commands under way fail. */
  leave(): void {
    if (!this.#lent) cut(this.#client);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#watchdog.close();
    clearTimeout(this.#reconnect);
    if (!this.#client) return;
    if (this.#lent) this.#lent.off('error', ignore);
    else await closeClient(this.#client);
  }

  // By hand, and without `async`: each promise of a command costs as much as its reply does to parse.
  #send<T>(client: RedisClient, operation: string, command: (client: RedisClient) => Promise<T>): Promise<T> {
    const due = this.#watchdog.begin();
    return attempt(() => command(client)).then(
      (reply) => {
        this.#watchdog.end(due, true);
        return this.beforeReply()?.then(() => reply) ?? reply;
      },
      (error: unknown) => {
        this.#watchdog.end(due, refusalCode(error) !== undefined);
        throw unavailable(operation, error);
      },
    );
  }

  #usable(): RedisClient | undefined {
    return !this.#closed && this.#client?.status === 'ready' ? this.#client : undefined;
  }

  async #firstUse(operation: string): Promise<RedisClient> {
    if (!this.#closed) await this.start();
    const client = this.#usable();
    if (client) return client;
    throw new StoreUnavailableError('redis', operation, this.#closed ? 'closed' : 'connection');
  }

  async #begin(): Promise<void> {
    const client = this.#lent ?? (await ownClient(this.#target()));
    if (this.#closed) return;
    this.#client = client;
    this.#watchdog.watch(client);
    // Without a listener the driver prints its errors; operations report them instead.
    client.on('error', ignore);
    const outcome = firstOutcome(client);
    if (!this.#lent) this.#keepAlive(client);
    if (client.status === 'wait') client.connect().catch(() => {});
    this.onClient(client);
    await outcome;
    if (isCluster(client)) await connectMasters(client);
  }

  #keepAlive(client: RedisClient): void {
    guardHandshake(client, this.options.connectTimeout ?? 1000);
    // The driver gives up for good in a few cases, e.g. when an address does not resolve.
    client.on('end', () => {
      if (this.#closed) return;
      clearTimeout(this.#reconnect);
      this.#reconnect = setTimeout(() => client.connect().catch(() => {}), RECONNECT_MS).unref();
    });
  }

  #target() {
    const { cluster } = this.options;
    const own = ownConnectionOptions(this.options);
    if (!cluster) return own;
    const redisOptions = { ...own, ...cluster.options?.redisOptions, ...linkOptions(this.options) };
    return {
      nodes: cluster.nodes,
      options: { enableOfflineQueue: false, ...cluster.options, lazyConnect: true, redisOptions },
    };
  }
}

/** At once: the driver refuses what is sent to a server while it connects to it. */
async function connectMasters(cluster: Cluster): Promise<void> {
  await Promise.all(
    cluster.nodes('master').map((node) => {
      const outcome = firstOutcome(node);
      if (node.status === 'wait') node.connect().catch(ignore);
      return outcome;
    }),
  );
}

function attempt<T>(command: () => Promise<T>): Promise<T> {
  try {
    return command();
  } catch (error) {
    return Promise.reject(error as Error);
  }
}
