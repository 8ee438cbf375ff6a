import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { VersioningType, type INestApplication } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../src/index.js';
import { closeAll, type Platform } from '../nest/boot.js';
import { pass } from './passing-time.js';
import { dispatch, type Reply } from './in-process.client.js';
import {
  clients,
  forget,
  HEADERS,
  INJECTED,
  POLICIES,
  programs,
  serveIsolated,
  VALUES,
  type Client,
  type Output,
  type Program,
  type Read,
} from './isolation.application.js';

// No response of one client is ever served to another: every answer names the client it was made for, by a way no cache can see, and what it
// was made of; it may be given only to a client for whom it would have been made of the same.

interface Asking {
  readonly client: Client;
  /** Which process. */
  readonly at: 0 | 1;
  readonly method: 'GET' | 'HEAD';
  readonly condition: 'none' | 'etag' | 'range';
}

interface Scenario {
  readonly route: string;
  readonly program: Program;
  /** One after the other; those within a step side by side. */
  readonly steps: ReadonlyArray<readonly Asking[]>;
}

const anyOf = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

/** Of each kind the first is what most clients are; most runs are about what differs. */
const VALUES_OF = {
  user: [undefined, 'ann', 'bob'],
  tenant: [undefined, 't1', 't2'],
  host: ['a.example', 'b.example'],
  language: [undefined, 'en', 'de', 'fr, de;q=0.5'],
  encoding: [undefined, 'gzip', 'br'],
  accept: [undefined, 'text/html'],
  variant: [undefined, 'x', 'y'],
  forwardedHost: [undefined, 'evil.example'],
  cookie: [undefined, 'theme=dark', 'theme=light; id=1', 'id=2', 'sid=1'],
  query: ['', 'a=1', 'a=2', 'b=1', 'a=1&b=2', 'b=2&a=1'],
  version: ['1', '2'],
} as const satisfies { readonly [F in keyof Required<Client>]: ReadonlyArray<Client[F]> };
type Field = keyof typeof VALUES_OF;
const FIELDS = Object.keys(VALUES_OF) as Field[];

const client = fc.record(
  Object.fromEntries(
    FIELDS.map((field) => {
      const [usual, ...others] = VALUES_OF[field] as readonly unknown[];
      return [field, fc.oneof({ weight: 3, arbitrary: anyOf(usual) }, { weight: 1, arbitrary: anyOf(...others) })];
    }),
  ),
) as fc.Arbitrary<Client>;

/** Two clients that differ in one thing; who is signed in, and where, is asked about most. */
const pair: fc.Arbitrary<{ clients: [Client, Client]; field: Field }> = fc
  .tuple(client, anyOf<Field>('user', 'user', 'tenant', ...FIELDS))
  .chain(([one, field]) =>
    fc.uniqueArray(anyOf(...(VALUES_OF[field] as readonly unknown[])), { minLength: 2, maxLength: 2 }).map((values) => {
      const clients = values.map((value) => ({ ...one, [field]: value })) as unknown as [Client, Client];
      return { clients, field };
    }),
  );

const OF_HEADERS: Read[] = ['all headers', 'raw headers'];
const READS_OF: Record<Field, Read[]> = {
  user: ['user', 'user', 'authorization', ...OF_HEADERS],
  tenant: ['tenant', 'tenant of the context', 'context of some tenants'],
  host: ['host'],
  language: ['language', ...OF_HEADERS],
  encoding: ['encoding', ...OF_HEADERS],
  accept: ['accept', ...OF_HEADERS],
  variant: ['variant', ...OF_HEADERS],
  forwardedHost: ['forwardedHost', 'host', ...OF_HEADERS],
  cookie: ['cookie', ...OF_HEADERS],
  query: ['query', 'query.a', 'query.b', 'url'],
  version: ['url'],
};
const READS = [...new Set(Object.values(READS_OF).flat())];

/** What a handler does about clients that differ in `field`: in half of the runs its answer depends on it, somehow. */
function programFor(field: Field): fc.Arbitrary<Program> {
  const some = (max: number): fc.Arbitrary<Read[]> =>
    fc.oneof(
      { weight: 2, arbitrary: fc.constant<Read[]>([]) },
      { weight: 2, arbitrary: anyOf(...READS_OF[field]).map((read) => [read]) },
      { weight: 1, arbitrary: fc.uniqueArray(anyOf(...READS), { maxLength: max }) },
    );
  const seldom = (max: number): fc.Arbitrary<Read[]> =>
    fc.oneof({ weight: 4, arbitrary: fc.constant<Read[]>([]) }, { weight: 1, arbitrary: some(max) });
  return fc.record({
    reads: some(2),
    sometimes: seldom(1),
    lazily: seldom(1),
    outside: seldom(1),
    before: seldom(1),
    hasContext: fc.boolean(),
    form: anyOf('json', 'json', 'json', 'text', 'bytes', 'file', 'iterable', 'response', 'error'),
    pauses: fc.nat(3),
    status: fc.oneof({ weight: 6, arbitrary: anyOf(200) }, { weight: 1, arbitrary: anyOf(203, 206, 404, 500) }),
    headers: fc
      .record({
        vary: anyOf(...none(8), 'Accept-Language', 'x-variant, Accept-Encoding', ' * ', 'Cookie'),
        'cache-control': anyOf(
          ...none(6),
          'private',
          'No-Store',
          'max-age=60',
          'public, max-age=60',
          's-maxage=60',
          'PRIVATE="x-output", max-age=60',
          'max-age=0, stale-while-revalidate=60',
        ),
        'set-cookie': anyOf(...none(12), 'theme=dark'),
      })
      .map((headers) => JSON.parse(JSON.stringify(headers)) as Record<string, string>),
  });
}

/** Of clients that differ in their tenant some ask for what is made of an injected one. */
function routeFor(field: Field): fc.Arbitrary<string> {
  const all = anyOf(...Object.keys(POLICIES), ...VALUES.map((name) => `values/${name}`));
  return field === 'tenant'
    ? fc.oneof({ weight: 5, arbitrary: all }, { weight: 1, arbitrary: anyOf(...INJECTED) })
    : all;
}

function none(times: number): undefined[] {
  return Array.from({ length: times }, () => undefined);
}

const scenario: fc.Arbitrary<Scenario> = pair.chain(({ clients: two, field }) =>
  fc
    .record({
      route: routeFor(field),
      program: programFor(field),
      steps: fc.array(
        fc.array(
          fc.record({
            client: anyOf(...two),
            at: anyOf(0 as const, 1 as const),
            method: anyOf('GET' as const, 'GET' as const, 'GET' as const, 'HEAD' as const),
            condition: anyOf('none' as const, 'none' as const, 'none' as const, 'etag' as const, 'range' as const),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        { minLength: 2, maxLength: 4 },
      ),
    })
    .map((drawn) => (INJECTED.includes(drawn.route) ? withInjected(drawn) : drawn)),
);

/** Such a handler always has it in its hands. */
function withInjected({ program, ...scenario }: Scenario): Scenario {
  return { ...scenario, program: { ...program, reads: [...program.reads, 'injected tenant'] } };
}

type Versioning = 'header' | 'media type' | 'URI';

let count = 0;
/** Answers that were made for another request: if there were none, nothing would have been shown. */
let shared = 0;

class Play {
  private readonly name = `r${++count}`;
  private readonly made = new Map<string, Output>();

  constructor(
    private readonly processes: readonly INestApplication[],
    private readonly versioning: Versioning,
    private readonly scenario: Scenario,
  ) {}

  async play(): Promise<void> {
    programs.set(this.name, this.scenario.program);
    for (const step of this.scenario.steps) {
      await Promise.all(step.map((asking) => this.ask(asking)));
      // Fresh for a millisecond only.
      if (/stale/i.test(this.scenario.route)) pass(2);
    }
    forget(this.name);
    clients.clear();
  }

  private async ask({ client, at, method, condition }: Asking): Promise<void> {
    const id = `${this.name}.${clients.size}`;
    clients.set(id, client);
    const headers = headersOf(client, this.versioning);
    headers['x-id'] = id;
    if (condition === 'range') headers['range'] = 'bytes=0-3';
    if (condition === 'etag' && this.made.size > 0) headers['if-none-match'] = [...this.made.keys()].join(', ');
    const prefix = this.versioning === 'URI' ? `/v${client.version}` : '';
    const query = client.query === '' ? '' : `?${client.query}`;
    const reply = await dispatch(
      this.processes[at] as INestApplication,
      method,
      `${prefix}/isolation/${this.scenario.route}/${this.name}${query}`,
      headers,
    );
    const outputs = this.outputsOf(reply, headers);
    // A field that is withheld from shared caches (RFC 9111 5.2.2.7) is not there to be looked at.
    const isWithheld = /x-output/.test(this.scenario.program.headers['cache-control'] ?? '') && reply.body.length < 5;
    if (outputs.length === 0 && !isWithheld)
      expect(outputs, `${method} ${JSON.stringify(client)}: ${reply.status} ${reply.body}`).not.toEqual([]);
    for (const output of outputs) this.check(output, id, client, reply);
  }

  /** What an answer says of where it comes from, by its fields and by its body; a 304 by the response it stands for. */
  private outputsOf(reply: Reply, asked: Record<string, string>): Output[] {
    if (reply.status === 304) {
      const output = this.made.get(String(reply.headers['etag']));
      if (!output) throw new Error(`304 for ${String(reply.headers['etag'])}, of ${asked['if-none-match']}`);
      return [output];
    }
    const found: Output[] = [];
    const field = reply.headers['x-output'];
    if (field !== undefined) found.push(JSON.parse(String(field)) as Output);
    if (reply.body.startsWith('{"run"')) {
      try {
        found.push(JSON.parse(reply.body) as Output);
      } catch {
        expect(reply.status).toBe(206);
      }
    }
    const etag = reply.headers['etag'];
    const last = found.at(-1);
    if (typeof etag === 'string' && last && reply.status === 200 && reply.body !== '') this.made.set(etag, last);
    return found;
  }

  /** In words only where something is wrong: there are a hundred thousand answers. */
  private check(output: Output, id: string, asking: Client, reply: Reply): void {
    const wrong = [...this.objections(output, id, asking)];
    if (wrong.length === 0) return;
    const { status, headers } = reply;
    expect.fail(`${wrong.join('; ')}: ${JSON.stringify({ asking, got: output, status, fields: headers })}`);
  }

  private *objections(output: Output, id: string, asking: Client): Generator<string> {
    if (output.run !== this.name) yield `of the run ${output.run}`;
    if (output.version !== asking.version) yield `of version ${output.version}`;
    if (output.id === id) return;
    shared++;
    const { client } = output;
    if (client.host !== asking.host) yield `of ${client.host}`;
    const own = valuesFor(asking, this.scenario, this.versioning, this.name);
    for (const [read, value] of Object.entries({ ...output.seen, ...output.late }))
      if (!own(read as Read).some((one) => isDeepStrictEqual(one, value))) yield `made of another ${read}`;
    yield* this.partitionObjections(client, asking);
    const { headers } = this.scenario.program;
    for (const name of namesOf(headers['vary'])) {
      if (name === '*') yield 'varies by everything';
      const [made, asked] = [client, asking].map((one) => headersOf(one, this.versioning)[name]);
      if (made !== asked) yield `varies by ${name}`;
    }
    if (headers['set-cookie'] !== undefined) yield 'sets a cookie';
    const cacheControl = headers['cache-control'] ?? '';
    if (/no-store/i.test(cacheControl)) yield 'no-store';
    if (!isPrincipal(this.scenario.route) && /private(?!=)/i.test(cacheControl)) yield 'private';
  }

  private *partitionObjections(made: Client, asking: Client): Generator<string> {
    const { route } = this.scenario;
    const name = route.replace('values/', '');
    if (/user|both|principal/i.test(name) && made.user !== asking.user) yield `of the user ${made.user}`;
    if (/tenant|both/i.test(name) && made.tenant !== asking.tenant) yield `of the tenant ${made.tenant}`;
    if (isPrincipal(route) || name === 'public') return;
    // In rfc mode the response may allow it (RFC 9111 3.5).
    const isAllowed = name === 'rfc' && /public|s-maxage/.test(this.scenario.program.headers['cache-control'] ?? '');
    if (isAllowed) return;
    for (const user of [made.user, asking.user]) if (user !== undefined) yield `${user} is signed in`;
  }
}

function isPrincipal(route: string): boolean {
  return /user|both|principal|tenant|organisation/i.test(route);
}

function namesOf(vary = ''): string[] {
  return vary
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
}

function headersOf(client: Client, versioning: Versioning): Record<string, string> {
  const fields: Record<string, string | undefined> = {
    host: client.host,
    authorization: client.user && `Bearer ${client.user}`,
    'x-tenant': client.tenant,
    'accept-language': client.language,
    'accept-encoding': client.encoding,
    accept: client.accept,
    'x-variant': client.variant,
    'x-forwarded-host': client.forwardedHost,
    cookie: client.cookie,
  };
  if (versioning === 'header') fields['x-version'] = client.version;
  if (versioning === 'media type') fields['accept'] = `${client.accept ?? 'application/json'};v=${client.version}`;
  return JSON.parse(JSON.stringify(fields)) as Record<string, string>;
}

/** Two orders of one query share an entry. */
function urlsOf(path: string, query: string): string[] {
  if (query === '') return [path];
  const orders = [query, sorted(query), ...(query.includes('&') ? ['b=2&a=1'] : [])];
  return orders.map((order) => `${path}?${order}`);
}

/** What a handler may see of a client: what it sent, or what the policy of the route makes of that. */
function valuesFor(
  client: Client,
  { route, program }: Scenario,
  versioning: Versioning,
  run: string,
): (read: Read) => unknown[] {
  const headers = headersOf(client, versioning);
  const shown: Record<string, string | null> = {};
  const name = route.replace('values/', '');
  for (const field of Object.values(HEADERS)) shown[field] = headers[field] ?? null;
  shown['x-forwarded-host'] = null;
  if (/locale/i.test(name))
    shown['accept-language'] = client.language === undefined || client.language === 'en' ? 'en' : 'de';
  if (name === 'accept') shown['accept'] = client.accept ?? 'application/json';
  if (name === 'cookies' || name === 'organisation')
    shown['cookie'] = /theme=\w+/.exec(client.cookie ?? '')?.[0] ?? null;
  const query = Object.fromEntries(new URLSearchParams(client.query));
  const listed = { a: query['a'] ?? '1' };
  const path = `${versioning === 'URI' ? `/v${client.version}` : ''}/isolation/${route}/${run}`;
  const isListed = name === 'listed';
  // A value is looked at by interceptors outside of the cache, each with the request as its own client sent it.
  const isMapped = route.startsWith('values/');
  const ofQuery = (narrowed: unknown, raw: unknown[]): unknown[] =>
    isListed ? [narrowed, ...(isMapped ? raw : [])] : raw;
  const both = (field: string): unknown[] => [headers[field] ?? null, shown[field]];
  return (read) => {
    switch (read) {
      case 'user':
        return [client.user ?? null];
      case 'tenant of the context':
        return [program.hasContext ? (client.tenant ?? null) : null];
      case 'tenant':
      case 'context of some tenants':
        return [client.tenant ?? null];
      case 'injected tenant':
        return [name === 'injected' ? (client.tenant ?? null) : null];
      case 'host':
        return [client.host];
      case 'query':
        return ofQuery(listed, [query]);
      case 'query.a':
        return ofQuery(listed.a, [query['a'] ?? null]);
      case 'query.b':
        return ofQuery(null, [query['b'] ?? null]);
      case 'url':
        return ofQuery(`${path}?a=${listed.a}`, urlsOf(path, client.query));
      case 'all headers':
      case 'raw headers':
        return [
          Object.values(HEADERS).map((field) => headers[field] ?? null),
          Object.values(HEADERS).map((field) => shown[field]),
        ];
      default:
        return both(HEADERS[read] as string);
    }
  };
}

function sorted(query: string): string {
  return query.split('&').sort().join('&');
}

const VERSIONINGS: Array<[Versioning, (app: INestApplication) => unknown]> = [
  ['header', (app) => app.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' })],
  ['media type', (app) => app.enableVersioning({ type: VersioningType.MEDIA_TYPE, key: 'v=' })],
  ['URI', (app) => app.enableVersioning({ type: VersioningType.URI })],
];

const RUNS = Number(process.env['TC_ISOLATION_RUNS'] ?? 835);

/** Hits are sent by the interceptor of the cache, or by its guard. */
const PLACES = [
  ['behind another interceptor', false],
  ['as the outermost interceptor', true],
] as const;

describe.each<Platform>(['express', 'fastify'])('isolation on %s', (platform) => {
  describe.each(VERSIONINGS)('with versions by %s', (versioning, enable) => {
    describe.each(PLACES)('%s', (_place, isOutermost) => {
      const processes: INestApplication[] = [];
      beforeAll(async () => {
        const { database } = new MemoryStore();
        for (let i = 0; i < 2; i++) processes.push(await serveIsolated(platform, isOutermost, database, enable));
        shared = 0;
      });
      afterAll(closeAll);

      it(`serves nobody what was made for somebody else: ${RUNS} runs`, async () => {
        await fc.assert(
          fc.asyncProperty(scenario, (drawn) => new Play(processes, versioning, drawn).play()),
          { numRuns: RUNS },
        );
        expect(shared).toBeGreaterThan(RUNS / 5);
      }, 120_000);
    });
  });
});
