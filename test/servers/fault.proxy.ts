import { createConnection, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { once } from 'node:events';
import { FaultLane } from './fault.lane.js';
import type { LaneConditions } from './fault.lane.js';
import { freePort } from './free.port.js';

interface Link {
  client: Socket;
  /** Missing for a connection made into the blackhole. */
  upstream?: Socket;
  lanes: FaultLane[];
}

/**
 * A TCP proxy on a loopback port that misbehaves on demand. Delay and throttling add up; `blackhole`, `cut` and `heal` replace each other.
 * @example const proxy = await FaultProxy.start(redis.port); proxy.blackhole(); ... await proxy.heal();
 */
export class FaultProxy {
  readonly #conditions: LaneConditions = { delayMs: 0, bytesPerSecond: Infinity, swallow: false };
  readonly #links = new Set<Link>();
  #server: Server | undefined;
  #accepted = 0;

  private constructor(
    readonly port: number,
    private targetPort: number,
  ) {}

  static async start(targetPort: number): Promise<FaultProxy> {
    for (let attempt = 1; ; attempt++) {
      const proxy = new FaultProxy(await freePort(), targetPort);
      try {
        await proxy.#listen();
        return proxy;
      } catch (error) {
        if (attempt === 10 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      }
    }
  }

  /** Client connections open now. */
  get connections(): number {
    return this.#links.size;
  }

  /** Client connections ever accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Holds every byte back by `ms` in each direction: a round trip takes twice as long. */
  delay(ms: number): void {
    this.#conditions.delayMs = ms;
  }

  /** Lets through so many bytes per second, in each direction of each connection. */
  throttle(bytesPerSecond: number): void {
    this.#conditions.bytesPerSecond = bytesPerSecond;
  }

  /** A half-open link: connections stay open and new ones are accepted, but nothing gets through, nor does the end of either side. */
  blackhole(): void {
    this.#conditions.swallow = true;
    for (const { lanes } of this.#links) for (const lane of lanes) lane.drop();
  }

  /** Destroys all connections and refuses new ones (ECONNREFUSED) until `heal()`. */
  cut(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const link of this.#links) this.#drop(link);
  }

  /** Resets (RST) the connections there are; new ones pass. */
  reset(): void {
    for (const link of this.#links) this.#drop(link, true);
  }

  /**
   * Everything passes again, without delay. Connections that lost bytes are destroyed: a broken link never delivers what it lost.
   * Resolves when new connections are accepted.
   */
  async heal(): Promise<void> {
    Object.assign(this.#conditions, { delayMs: 0, bytesPerSecond: Infinity, swallow: false });
    for (const link of this.#links) if (!link.upstream || link.lanes.some((lane) => lane.lossy)) this.#drop(link);
    if (!this.#server) await this.#listen();
  }

  /** Connections from now on go to another server, as after a failover; those there are end. */
  redirect(targetPort: number): void {
    this.steer(targetPort);
    this.reset();
  }

  /** Connections from now on go to another server; those there are go on. */
  steer(targetPort: number): void {
    this.targetPort = targetPort;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    const closed = server && once(server, 'close');
    this.cut();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#connect(client));
    this.#server = server;
    server.listen({ port: this.port, host: '127.0.0.1' });
    await once(server, 'listening');
  }

  #connect(client: Socket): void {
    this.#accepted++;
    const link: Link = { client, lanes: [] };
    this.#links.add(link);
    this.#watch(client, link);
    if (this.#conditions.swallow) {
      client.resume();
      return;
    }
    const upstream = createConnection({ port: this.targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.#watch(upstream, link);
    link.upstream = upstream;
    link.lanes.push(
      new FaultLane(client, upstream, this.#conditions),
      new FaultLane(upstream, client, this.#conditions),
    );
  }

  #watch(socket: Socket, link: Link): void {
    // An error is told to the other side as a reset; in the blackhole nothing is told.
    socket.on('error', () => {
      if (!this.#conditions.swallow) this.#drop(link, true);
      else for (const lane of link.lanes) lane.lossy = true;
    });
    socket.on('close', () => {
      if (link.client.destroyed && (link.upstream?.destroyed ?? true)) this.#links.delete(link);
    });
  }

  #drop(link: Link, reset = false): void {
    this.#links.delete(link);
    for (const lane of link.lanes) lane.drop();
    for (const socket of [link.client, link.upstream]) {
      if (reset) socket?.resetAndDestroy();
      else socket?.destroy();
    }
  }
}
