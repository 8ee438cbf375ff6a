import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free.port.js';
import { RedisServer } from './redis.server.js';

const SLOTS = 16_384;
const LIMIT_MS = 20_000;

/** How to start a {@link RedisCluster}. */
export interface RedisClusterOptions {
  /** Servers with a share of the slots each. */
  masters: number;
  /** Replicas of the first master. Default 0. */
  replicas?: number;
  /** Servers that are in the cluster and have no slots. Default 0. */
  spares?: number;
}

/**
 * A real cluster of servers on loopback ports: the slots in equal shares, a second until a silent server has failed.
 * @example await using cluster = await RedisCluster.start({ masters: 3, replicas: 1 });
 */
export class RedisCluster {
  private constructor(
    readonly masters: readonly RedisServer[],
    readonly replicas: readonly RedisServer[],
    readonly spares: readonly RedisServer[],
  ) {}

  /** @throws Error when they do not become a cluster */
  static async start({ masters, replicas = 0, spares = 0 }: RedisClusterOptions): Promise<RedisCluster> {
    const servers = await Promise.all(Array.from({ length: masters + replicas + spares }, startNode));
    const cluster = new RedisCluster(
      servers.slice(0, masters),
      servers.slice(masters, masters + replicas),
      servers.slice(masters + replicas),
    );
    try {
      await cluster.#join();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get servers(): readonly RedisServer[] {
    return [...this.masters, ...this.replicas, ...this.spares];
  }

  /** Where clients begin. */
  get nodes(): Array<{ host: string; port: number }> {
    return this.masters.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  /** The master that has the slot of `key` to begin with. */
  async masterOf(key: string): Promise<RedisServer> {
    const slot = Number(await this.masters.at(-1)?.command('CLUSTER', 'KEYSLOT', key));
    return this.masters[Math.floor((slot * this.masters.length) / SLOTS)] as RedisServer;
  }

  /** Moves a slot with its keys, as `redis-cli --cluster reshard` does. */
  async migrate(slot: number, from: RedisServer, to: RedisServer): Promise<void> {
    const [source, target] = [await idOf(from), await idOf(to)];
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source);
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target);
    const keys = (await from.command('CLUSTER', 'GETKEYSINSLOT', slot, 1000)) as string[];
    if (keys.length > 0) await from.command('MIGRATE', '127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys);
    for (const server of [to, from]) await server.command('CLUSTER', 'SETSLOT', slot, 'NODE', target);
  }

  /** One command to each of the masters to begin with. */
  async toMasters(...args: Array<string | number>): Promise<void> {
    await Promise.all(this.masters.map((server) => server.command(...args)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #join(): Promise<void> {
    const { servers, masters } = this;
    const share = SLOTS / masters.length;
    await Promise.all(servers.map((server, i) => server.command('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)));
    await Promise.all(
      masters.map((server, i) =>
        server.command('CLUSTER', 'ADDSLOTSRANGE', Math.ceil(i * share), Math.ceil((i + 1) * share) - 1),
      ),
    );
    const [first] = servers as [RedisServer];
    for (const { port, busPort } of servers.map((server) => ({ port: server.port, busPort: busPorts.get(server) })))
      if (port !== first.port) await first.command('CLUSTER', 'MEET', '127.0.0.1', port, busPort as number);
    await all(servers, ['CLUSTER', 'INFO'], `cluster_known_nodes:${servers.length}`);
    await all(servers, ['CLUSTER', 'INFO'], 'cluster_state:ok');
    for (const replica of this.replicas) await replica.command('CLUSTER', 'REPLICATE', await idOf(first));
    await all(this.replicas, ['INFO', 'replication'], 'master_link_status:up');
  }
}

const busPorts = new WeakMap<RedisServer, number>();

async function startNode(): Promise<RedisServer> {
  const busPort = await freePort();
  const options = {
    'cluster-enabled': 'yes',
    'cluster-port': busPort,
    'cluster-announce-ip': '127.0.0.1',
    'cluster-node-timeout': 1000,
    'cluster-replica-validity-factor': 0,
    'cluster-allow-replica-migration': 'no',
    'repl-diskless-sync-delay': 0,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = await RedisServer.start({ args });
  busPorts.set(server, busPort);
  return server;
}

async function idOf(server: RedisServer): Promise<string> {
  return String(await server.command('CLUSTER', 'MYID'));
}

/** Until all of them answer with `text`. */
async function all(servers: readonly RedisServer[], command: string[], text: string): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  for (const server of servers) {
    while (!String(await server.command(...command)).includes(text)) {
      if (performance.now() > deadline) throw new Error(`port ${server.port}: no "${text}" in ${command.join(' ')}`);
      await sleep(20);
    }
  }
}
