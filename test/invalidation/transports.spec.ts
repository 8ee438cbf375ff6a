import 'reflect-metadata';
import { once, type EventEmitter } from 'node:events';
import { Controller, Injectable, Logger, Param, Put, type INestApplication } from '@nestjs/common';
import { Args, Field, GraphQLModule, Int, Mutation, ObjectType, Query, Resolver } from '@nestjs/graphql';
import { MercuriusDriver, type MercuriusDriverConfig } from '@nestjs/mercurius';
import { ClientProxyFactory, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { lastValueFrom, of, type Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CacheService, InvalidatesCache, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve } from '../nest/boot.js';
import { freePort } from '../servers/free.port.js';

beforeEach(() => void vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined));
afterEach(() => {
  vi.restoreAllMocks();
  return closeAll();
});

/** Comes with @nestjs/platform-ws, and without types. */
const { WebSocket } = (await import('ws' as string)) as {
  WebSocket: new (url: string) => EventEmitter & { send(text: string): void; close(): void };
};

interface Edit {
  id: number;
}

const tags = (_result: unknown, [{ id }]: [Edit]): string[] => [`course:${id}`];

@Controller()
class Routes {
  @InvalidatesCache({ tags: (_none: void, [id]: [string]) => [`course:${id}`] })
  @Put('promise/:id')
  async promise(@Param('id') _id: string): Promise<void> {}

  @Put('observable/:id')
  @InvalidatesCache({ tags: (id: string) => [`course:${id}`] })
  observable(@Param('id') id: string): Observable<string> {
    return of(id);
  }

  @Put('fails/:id')
  @InvalidatesCache({ tags: (_none: void, [id]: [string]) => [`course:${id}`] })
  async fails(@Param('id') _id: string): Promise<void> {
    throw new Error('its own');
  }

  @MessagePattern('edit')
  @InvalidatesCache({ tags })
  async message(@Payload() _edit: Edit): Promise<string> {
    return 'done';
  }

  @MessagePattern('fail')
  @InvalidatesCache({ tags })
  async failing(@Payload() _edit: Edit): Promise<string> {
    throw new Error('its own');
  }
}

@ObjectType()
class CourseType {
  @Field(() => Int)
  id!: number;
}

@Resolver(() => CourseType)
class Courses {
  @Query(() => Int)
  ping(): number {
    return 1;
  }

  @Mutation(() => CourseType)
  @InvalidatesCache({ tags: ({ id }: Edit) => [`course:${id}`] })
  async edit(@Args('id', { type: () => Int }) id: number): Promise<Edit> {
    return { id };
  }

  @Mutation(() => CourseType)
  @InvalidatesCache({ tags: (_none: unknown, [id]: [number]) => [`course:${id}`] })
  async fail(@Args('id', { type: () => Int }) _id: number): Promise<Edit> {
    throw new Error('its own');
  }
}

@Injectable()
@WebSocketGateway()
class Gateway {
  @SubscribeMessage('edit')
  @InvalidatesCache({ tags })
  async edit(@MessageBody() { id }: Edit): Promise<{ event: string; data: number }> {
    return { event: 'edited', data: id };
  }
}

/** Entries 1 and 2, and what tells which of them are left. */
async function filled(app: INestApplication): Promise<() => Promise<number[]>> {
  const cache = app.get(CacheService);
  for (const id of [1, 2]) await cache.set(['course', id], id, { tags: [`course:${id}`] });
  return async () => {
    const found = await cache.getMany<number>([1, 2].map((id) => ['course', id]));
    return found.flatMap((response) => (response.isFound ? [response.value] : []));
  };
}

describe.each(['express', 'fastify'] as const)('over HTTP, %s', (platform) => {
  it.each([
    ['promise', 200, [2]],
    ['observable', 200, [2]],
    ['fails', 500, [1, 2]],
  ])('%s: what the handler changed is gone when the client is answered', async (route, status, expected) => {
    const { app, url } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Routes] });
    const left = await filled(app);
    expect((await fetch(`${url}/${route}/1`, { method: 'PUT' })).status).toBe(status);
    expect(await left()).toEqual(expected);
  });
});

describe('RPC over TCP', () => {
  it('what the handler changed is gone when the caller is answered; nothing when it failed', async () => {
    const port = await freePort();
    const options = { transport: Transport.TCP as const, options: { host: '127.0.0.1', port } };
    const metadata = { imports: [TieredCacheModule.forRoot()], controllers: [Routes] };
    const { app } = await serve('express', metadata, async (made) => {
      made.connectMicroservice(options);
      await made.startAllMicroservices();
    });
    const left = await filled(app);
    const client = ClientProxyFactory.create(options);
    await expect(lastValueFrom(client.send('fail', { id: 1 }))).rejects.toBeDefined();
    expect(await left()).toEqual([1, 2]);
    expect(await lastValueFrom(client.send('edit', { id: 1 }))).toBe('done');
    expect(await left()).toEqual([2]);
    await client.close();
  });
});

describe('WebSocket', () => {
  it('what the handler changed is gone when the client is answered', async () => {
    const metadata = { imports: [TieredCacheModule.forRoot()], controllers: [], providers: [Gateway] };
    const { app, url } = await serve('express', metadata, (made) => made.useWebSocketAdapter(new WsAdapter(made)));
    const left = await filled(app);
    const socket = new WebSocket(url.replace('http', 'ws'));
    await once(socket, 'open');
    socket.send(JSON.stringify({ event: 'edit', data: { id: 1 } }));
    const [answer] = (await once(socket, 'message')) as [Buffer];
    expect(JSON.parse(answer.toString())).toEqual({ event: 'edited', data: 1 });
    expect(await left()).toEqual([2]);
    socket.close();
  });
});

describe('GraphQL', () => {
  it('what a mutation changed is gone when the client is answered; nothing when it failed', async () => {
    const graphql = GraphQLModule.forRoot<MercuriusDriverConfig>({ driver: MercuriusDriver, autoSchemaFile: true });
    const metadata = { imports: [TieredCacheModule.forRoot(), graphql], controllers: [], providers: [Courses] };
    const { app, url } = await serve('fastify', metadata);
    const left = await filled(app);
    const ask = async (query: string): Promise<unknown> => {
      const headers = { 'content-type': 'application/json' };
      return (await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) })).json();
    };
    expect(await ask('mutation { fail(id: 1) { id } }')).toMatchObject({ errors: [expect.anything()] });
    expect(await left()).toEqual([1, 2]);
    expect(await ask('mutation { edit(id: 1) { id } }')).toEqual({ data: { edit: { id: 1 } } });
    expect(await left()).toEqual([2]);
  });
});
