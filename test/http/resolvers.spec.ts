import 'reflect-metadata';
import { Inject, Injectable, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import {
  Args,
  Field,
  GraphQLModule,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { MercuriusDriver, type MercuriusDriverConfig } from '@nestjs/mercurius';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { byHeaders, byRoute, CacheResponse, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve } from '../nest/boot.js';

interface GraphQLContext {
  readonly req: { readonly headers: Record<string, string> };
}

let runs: string[] = [];

@ObjectType()
class Book {
  @Field(() => Int) id!: number;
}

@Resolver(() => Book)
class Books {
  @Query(() => Book)
  @CacheResponse('1m')
  book(@Args('id', { type: () => Int }) id: number): Book {
    runs.push(`book ${id}`);
    return { id };
  }

  @Mutation(() => Book)
  @CacheResponse('1m')
  edit(@Args('id', { type: () => Int }) id: number): Book {
    runs.push(`edit ${id}`);
    return { id };
  }

  @ResolveField(() => String)
  @CacheResponse({ ttl: '1m', key: [byRoute()] })
  title(@Parent() { id }: Book): string {
    return `title ${id}`;
  }
}

/** Reads when it is made, before anybody could see it. */
@Injectable({ scope: Scope.REQUEST })
class Tenant {
  readonly name: string;

  constructor(@Inject(REQUEST) { req }: GraphQLContext) {
    this.name = req.headers['x-tenant'] as string;
  }
}

@Resolver()
class OfTenants {
  constructor(private readonly tenant: Tenant) {}

  @Query(() => String)
  @CacheResponse('1m')
  latest(): string {
    return this.tenant.name;
  }

  @Query(() => String)
  @CacheResponse({ ttl: '1m', key: [byRoute(), byHeaders('x-tenant')], autoVary: { ignore: ['request:REQUEST'] } })
  keyed(): string {
    runs.push('keyed');
    return this.tenant.name;
  }
}

async function served(): Promise<(query: string, tenant?: string) => Promise<unknown>> {
  const context = (req: unknown): object => ({ req });
  const graphql = GraphQLModule.forRoot<MercuriusDriverConfig>({
    driver: MercuriusDriver,
    autoSchemaFile: true,
    fieldResolverEnhancers: ['interceptors'],
    context,
  });
  const providers = [Books, OfTenants, Tenant];
  const { url } = await serve('fastify', {
    imports: [TieredCacheModule.forRoot(), graphql],
    controllers: [],
    providers,
  });
  return async (query, tenant = '') => {
    const headers = { 'content-type': 'application/json', 'x-tenant': tenant };
    const answer = await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
    return ((await answer.json()) as { data: unknown }).data;
  };
}

beforeEach(() => void (runs = []));
afterEach(closeAll);

it('a query is answered from the cache, by its arguments; a mutation, and a field of an object, are not', async () => {
  const ask = await served();
  for (const id of [1, 2, 1, 2]) {
    expect(await ask(`{ book(id: ${id}) { id title } }`)).toEqual({ book: { id, title: `title ${id}` } });
    expect(await ask(`mutation { edit(id: 1) { id } }`)).toEqual({ edit: { id: 1 } });
  }
  expect(runs.filter((run) => run.startsWith('book'))).toEqual(['book 1', 'book 2']);
  expect(runs.filter((run) => run.startsWith('edit'))).toHaveLength(4);
});

it('what was made of the request tells tenants apart, unseen: nothing is stored unless the key is said to know', async () => {
  const ask = await served();
  for (const tenant of ['a', 'b', 'a', 'b'])
    expect(await ask('{ latest keyed }', tenant)).toEqual({ latest: tenant, keyed: tenant });
  expect(runs).toEqual(['keyed', 'keyed']);
});
