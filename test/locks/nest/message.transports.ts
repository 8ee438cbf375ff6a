import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once, type EventEmitter } from 'node:events';
import { request } from 'node:http';
import { createRequire } from 'node:module';
import type { Socket as NetSocket } from 'node:net';
import { json } from 'node:stream/consumers';
import type { IncomingMessage } from 'node:http';
import {
  applyDecorators,
  Catch,
  Controller,
  UseFilters,
  type ArgumentsHost,
  type ExceptionFilter,
  type INestApplication,
  type PipeTransform,
  type Type,
} from '@nestjs/common';
import { Args, GraphQLModule, Mutation, Resolver } from '@nestjs/graphql';
import { MercuriusDriver } from '@nestjs/mercurius';
import { ClientProxyFactory, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { WsAdapter } from '@nestjs/platform-ws';
import { Test } from '@nestjs/testing';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { lastValueFrom } from 'rxjs';
import { onTestFinished } from 'vitest';
import { TieredCacheModule, type TieredCacheOptions } from '../../../src/index.js';
import { freePort } from '../../servers/free.port.js';

export type Transported = 'rpc' | 'ws' | 'graphql';

/** How a class of handlers is made one of a transport's. */
export interface TransportDecorators {
  readonly group: () => ClassDecorator;
  readonly handles: (name: string) => MethodDecorator;
  /** The message: `{ id }`. */
  readonly message: (...pipes: Array<Type<PipeTransform> | PipeTransform>) => ParameterDecorator;
}

/** Of the application: Nest 11 does not tell sockets of `ws` what went wrong. */
@Catch()
class TellSocket implements ExceptionFilter {
  catch({ message }: Error, host: ArgumentsHost): void {
    host
      .switchToWs()
      .getClient<Socket>()
      .send(JSON.stringify({ event: 'exception', data: { message } }));
  }
}

export const decorators: Readonly<Record<Transported, TransportDecorators>> = {
  rpc: { group: () => Controller(), handles: (name) => MessagePattern(name), message: (...pipes) => Payload(...pipes) },
  ws: {
    group: () => applyDecorators(WebSocketGateway(), UseFilters(TellSocket)),
    handles: (name) => SubscribeMessage(name),
    message: (...pipes) => MessageBody(...pipes),
  },
  graphql: { group: () => Resolver(), handles: (name) => Mutation(name), message: (...pipes) => Args(...pipes) },
};

/** What a client was told: an answer, or an error in the way of its transport. */
export type Told = { readonly answer: unknown } | { readonly error: unknown };

export interface MessageClient {
  send(name: string, message: object): Promise<Told>;
  /** Sends, and is gone when `leave` is called, which resolves when the server knows. */
  come(name: string, message: object): Promise<{ leave(): Promise<void> }>;
}

/** An application with these handlers behind a real server of the transport. */
export async function serveMessages(
  transport: Transported,
  handlers: Type,
  names: readonly string[],
  options: TieredCacheOptions,
): Promise<{ app: INestApplication; client: MessageClient }> {
  const typeDefs = `type Query { ok: String } type Mutation { ${names.map((name) => `${name}(id: ID): String`).join(' ')} }`;
  const graphql = GraphQLModule.forRoot({ driver: MercuriusDriver, typeDefs });
  const testing = await Test.createTestingModule({
    imports: [TieredCacheModule.forRoot(options), ...(transport === 'graphql' ? [graphql] : [])],
    ...(transport === 'rpc' ? { controllers: [handlers] } : { providers: [handlers] }),
  }).compile();
  const app = testing.createNestApplication(new FastifyAdapter(), { logger: false });
  onTestFinished(() => app.close());
  app.useWebSocketAdapter(new WsAdapter(app));
  const rpc = { host: '127.0.0.1', port: await freePort() };
  if (transport === 'rpc') {
    app.connectMicroservice({ transport: Transport.TCP, options: rpc });
    await app.startAllMicroservices();
  }
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): { port: number } }).address();
  const client = { rpc: () => rpcClient(rpc), ws: () => wsClient(port), graphql: () => graphqlClient(port) }[
    transport
  ]();
  return { app, client };
}

/** The server's end of the connection that is made next: this process has both ends. */
function nextAccepted(): Promise<NetSocket> {
  return new Promise((resolve) => {
    const take = (message: unknown): void => {
      unsubscribe('net.server.socket', take);
      resolve((message as { socket: NetSocket }).socket);
    };
    subscribe('net.server.socket', take);
  });
}

async function gone(accepted: Promise<NetSocket>, leave: () => unknown): Promise<void> {
  const closed = once(await accepted, 'close');
  leave();
  await closed;
}

function rpcClient(options: { host: string; port: number }): MessageClient {
  const open = () => ClientProxyFactory.create({ transport: Transport.TCP, options });
  return {
    async send(name, message) {
      const client = open();
      try {
        return { answer: (await lastValueFrom(client.send(name, message))) as unknown };
      } catch (error) {
        return { error };
      } finally {
        await client.close();
      }
    },
    async come(name, message) {
      const accepted = nextAccepted();
      const client = open();
      await client.connect();
      client.send(name, message).subscribe({ error: () => undefined });
      return { leave: () => gone(accepted, () => client.close()) };
    },
  };
}

interface Socket extends EventEmitter {
  send(text: string): void;
  terminate(): void;
}

// It is a dependency of @nestjs/platform-ws, and without types.
const { WebSocket } = createRequire(import.meta.url)('ws') as { WebSocket: new (url: string) => Socket };

function wsClient(port: number): MessageClient {
  const open = async (event: string, data: object): Promise<Socket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    await once(socket, 'open');
    socket.send(JSON.stringify({ event, data }));
    return socket;
  };
  return {
    async send(name, message) {
      const socket = await open(name, message);
      const [text] = (await once(socket, 'message')) as [Buffer];
      socket.terminate();
      const told = JSON.parse(String(text)) as { event?: string; data?: unknown } | string;
      return typeof told === 'object' && told.event === 'exception' ? { error: told.data } : { answer: told };
    },
    async come(name, message) {
      const accepted = nextAccepted();
      const socket = await open(name, message);
      return { leave: () => gone(accepted, () => socket.terminate()) };
    },
  };
}

function graphqlClient(port: number): MessageClient {
  const post = (name: string, message: object) => {
    const sent = request({
      port,
      method: 'POST',
      path: '/graphql',
      headers: { 'content-type': 'application/json' },
      agent: false,
    });
    sent.on('error', () => undefined);
    const { id } = message as { id?: string };
    sent.end(JSON.stringify({ query: `mutation { ${name}${id === undefined ? '' : `(id: "${id}")`} }` }));
    return sent;
  };
  return {
    async send(name, message) {
      const [response] = (await once(post(name, message), 'response')) as [IncomingMessage];
      const { data, errors } = (await json(response)) as { data?: Record<string, unknown>; errors?: unknown[] };
      return errors ? { error: errors[0] } : { answer: data?.[name] };
    },
    async come(name, message) {
      const accepted = nextAccepted();
      const sent = post(name, message);
      return { leave: () => gone(accepted, () => sent.destroy()) };
    },
  };
}
