import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { describe, expect, it } from 'vitest';
import { encodeKey } from '../../../src/core/keys/key-encoding.js';
import { pageKeyOf } from '../../../src/http/keys/page-key.js';
import { byUser } from '../../../src/http/keys/principal.components.js';
import { byParams, byRoute } from '../../../src/http/keys/route.components.js';
import { handlerIdentity } from '../../../src/http/policy/handler-identity.js';
import { compilePolicy } from '../../../src/http/policy/compiled.policy.js';
import { requestViewOf } from '../../../src/http/policy/request-view-of.js';
import type { RequestView } from '../../../src/http/policy/request-view.js';
import type { ResponseCachePolicy } from '../../../src/http/policy/response-cache.policy.js';

class Handlers {
  book() {}
  author() {}
}

function keyOf(
  type: string,
  args: unknown[],
  policy: ResponseCachePolicy = {},
  handler: keyof Handlers = 'book',
): string {
  const context = new ExecutionContextHost(args, Handlers as never, Handlers.prototype[handler] as never);
  context.setType(type);
  const page = pageKeyOf(requestViewOf(context) as RequestView, compilePolicy(policy, 'value', 'test'));
  return 'bypass' in page ? `bypass ${page.bypass}` : encodeKey(page.key);
}

const query = (args: object, req: object = {}, root?: unknown, parent = 'Query') => [
  root,
  Object.assign(Object.create(null), args),
  { req },
  { parentType: { name: parent } },
];

describe('the key of a call outside HTTP', () => {
  it('is made of the handler and what the call is about', () => {
    const keys = [
      keyOf('graphql', query({ id: 1 })),
      keyOf('graphql', query({ id: '1' })),
      keyOf('graphql', query({})),
      keyOf('graphql', query({ id: 1 }), {}, 'author'),
      keyOf('rpc', [{ id: 1 }, {}]),
      keyOf('rpc', [{ id: 2 }, {}]),
      keyOf('rpc', ['', {}]),
      keyOf('ws', [{}, { id: 1 }]),
    ];
    expect(keys.filter((key) => key.startsWith('bypass'))).toEqual([]);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keyOf('graphql', query({ a: 1, b: [{ c: 2 }] }))).toBe(keyOf('graphql', query({ b: [{ c: 2 }], a: 1 })));
  });

  it('is of the field, the endpoint and the host of GraphQL: resolvers of one name may stand behind several', () => {
    const of = (fieldName: string, req: object): string =>
      keyOf('graphql', [undefined, {}, { req }, { parentType: { name: 'Query' }, fieldName }], { key: [byRoute()] });
    const keys = [
      of('book', { host: 'a.example', url: '/graphql?query=1' }),
      of('books', { host: 'a.example', url: '/graphql' }),
      of('book', { host: 'b.example', url: '/graphql' }),
      of('book', { headers: { host: 'c.example' }, url: '/graphql' }),
      of('book', { host: 'a.example', url: '/', originalUrl: '/admin/graphql' }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(of('book', { host: 'a.example', url: '/graphql?query=2' })).toBe(keys[0]);
  });

  it('is of the pattern: two classes may have one name', () => {
    const listening = (pattern: unknown, metadata: string, namespace?: string): string => {
      class Users {
        find() {}
      }
      Reflect.defineMetadata(metadata, pattern, Users.prototype.find);
      if (namespace !== undefined) Reflect.defineMetadata('websockets:gateway_options', { namespace }, Users);
      return handlerIdentity(Users, Users.prototype.find).key;
    };
    const keys = [
      listening(['users.find'], 'microservices:pattern'),
      listening(['admins.find'], 'microservices:pattern'),
      listening([{ cmd: 'find' }], 'microservices:pattern'),
      listening('find', 'message'),
      listening('find', 'message', 'admin'),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(listening(['users.find'], 'microservices:pattern')).toBe(keys[0]);
  });

  it('is none for mutations, fields of other objects, and data that is none', () => {
    expect(keyOf('graphql', query({}, {}, undefined, 'Mutation'))).toBe('bypass method');
    expect(keyOf('graphql', query({}, {}, { id: 1 }))).toBe('bypass method');
    expect(keyOf('graphql', query({}, {}, undefined, 'Book'))).toBe('bypass method');
    expect(keyOf('rpc', [{ at: new Map() }, {}])).toBe('bypass payload');
    expect(keyOf('rpc', [{ deep: [[[[[[[1]]]]]]] }, {}])).toBe('bypass payload');
  });

  it('is that of a principal, or none for those who say who they are', () => {
    const policy = { key: [byRoute(), byParams(), byUser()] };
    expect(keyOf('graphql', query({}, { user: { id: 1 } }))).toBe('bypass credentials');
    expect(keyOf('graphql', query({}, { headers: { authorization: 'a' } }))).toBe('bypass credentials');
    expect(keyOf('ws', [{ data: { user: 'me' } }, {}])).toBe('bypass credentials');
    expect(keyOf('graphql', query({}), policy)).toBe('bypass principal');
    expect(keyOf('graphql', query({}, { user: { id: 1 } }), policy)).not.toBe(
      keyOf('graphql', query({}, { user: { id: 2 } }), policy),
    );
  });
});
