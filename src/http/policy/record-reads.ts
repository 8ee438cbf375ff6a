import type { IncomingHttpHeaders } from 'node:http';
import { isFieldName } from '../../http-semantics/fields/field-name.js';
import { GivenContexts } from '../contexts/given-contexts.js';
import type { PageKey } from '../keys/page-key.js';
import type { CompiledPolicy } from './compiled.policy.js';
import { foreignProperties, isForeignIfAbsent } from './foreign-properties.js';
import { dependsOnRequest, isMadeForRequest } from './injected-request.js';
import { isCovered, type InputName } from './input-name.js';
import {
  fixedHeaders,
  narrowCookies,
  narrowHeaders,
  narrowQuery,
  narrowUrl,
  type FillOptions,
} from './narrowed-request.js';
import { PatchedRequest } from './patched-request.js';
import { recordBody } from './record-body.js';
import { recordConnection, SOCKETS } from './record-connection.js';
import { recordResponse } from './record-response.js';
import { recordingProxy } from './recording-proxy.js';
import type { Fields, RequestView } from './request-view.js';

export interface Recording {
  /** What was read so far. */
  readonly reads: Set<InputName>;
  /** Gives the request its own properties back, and tells what was read. Idempotent. */
  stop(): Set<InputName>;
}

/** Computed from headers that may be hidden, by the adapter's trust-proxy rules. */
const RESOLVED = ['host', 'hostname', 'ip', 'ips', 'port', 'protocol', 'secure', 'subdomains'];

/**
 * From now on the request shows its handler only what the key distinguishes (hidden and rewritten headers, narrowed query and cookies) and
 * notes what is read: headers, cookies, query, parameters, target, connection, and what guards and middleware have put on the request, or into
 * `res.locals`, or left in an AsyncLocalStorage. Works on the framework's request and on Node's. Reads before it, and through objects taken from
 * the request earlier, are not seen. Outside HTTP nothing is changed, and no more noted than that the handler's object was given the request:
 * there, calls of one request run side by side.
 * @param reads what was noted of the request before, to be added to
 */
export function recordReads(
  view: RequestView,
  policy: CompiledPolicy,
  { covers }: Pick<PageKey, 'covers'>,
  options: FillOptions = {},
  reads = new Set<InputName>(),
): Recording {
  const note = policy.autoVary ? (name: InputName) => void reads.add(name) : () => {};
  if (dependsOnRequest(view.controller)) note('request:REQUEST');
  if (view.kind !== 'http' || view.raw === undefined) return { reads, stop: () => reads };
  const patched = new PatchedRequest();
  const { request, raw } = view;
  const targets: object[] = request === (raw as unknown) ? [raw] : [request, raw];

  const shown = narrowHeaders(view, policy, covers, options);
  const told = new Set(fixedHeaders(policy, covers, options));
  const headers = recordingProxy(shown, (name) => {
    // What no header can be called is there only if middleware has put it there.
    if (!told.has(name) && (isFieldName(name) || Object.hasOwn(shown, name))) note(`header:${name}`);
  });
  const foreign = targets.map((target) => [target, foreignProperties(target)] as const);
  resolved(patched, view, note);
  for (const target of targets) patched.replace(target, 'headers', () => headers);
  patched.replace(raw, 'rawHeaders', () => (note('header:*'), rawHeaders(shown)));
  patched.replace(raw, 'headersDistinct', () => (note('header:*'), distinct(shown)));

  const query = narrowQuery(view, policy);
  // In front of Fastify's routes middleware finds its own, and puts its own, on Node's request.
  for (const target of targets) {
    if (query !== undefined) narrow(patched, target, 'query', query);
    else if (!isCovered('query:*', covers)) watch(patched, target, 'query', (name) => note(`query:${name}`));
    // The key knows the framework's.
    else if (target !== request && Reflect.get(target, 'query') !== Reflect.get(request, 'query'))
      patched.watch(target, 'query', () => note('request:query'));
    if (!isCovered('param:*', covers)) watch(patched, target, 'params', (name) => note(`param:${name}`));
    for (const name of ['cookies', 'signedCookies']) cookies(patched, target, name, policy, note);
    if (target !== request) for (const name of ['ip', 'ips']) patched.watch(target, name, () => note('ip'));
  }
  // After the query: Express parses it out of the target.
  if (query !== undefined || !isCovered('url', covers)) urls(patched, targets, query, () => note('url'));
  recordConnection(patched, targets, raw, note);
  for (const target of targets) recordBody(patched, target, note);
  recordResponse(patched, view.context.switchToHttp().getResponse<object>(), note);
  if (policy.contexts) {
    const given = new GivenContexts(policy.contexts, note);
    patched.whenRestored(() => given.stop());
    if (isMadeForRequest(view.controller)) given.readAll();
  }
  for (const [target, names] of foreign) {
    const isAbsentByKey = (name: PropertyKey): boolean => target === request && name === 'user' && isOfNobody(policy);
    for (const name of names)
      if (!isAbsentByKey(name) || ((Reflect.get(target, name) as unknown) ?? undefined) !== undefined)
        patched.watch(target, name, () => note(`request:${String(name)}`));
    patched.watchAbsent(target, (name) => {
      if (isForeignIfAbsent(name) && !isAbsentByKey(name)) note(`request:${String(name)}`);
    });
  }
  return {
    reads,
    stop() {
      patched.restore();
      return reads;
    },
  };
}

/** The host and the like stay what they were, though the headers they are computed from are hidden. */
function resolved(
  patched: PatchedRequest,
  { request, raw, headers }: RequestView,
  note: (name: InputName) => void,
): void {
  // Of the connection nothing is read but by them.
  const connected = Object.fromEntries(SOCKETS.map((name) => [name, { value: raw?.socket }]));
  const own = { headers: { value: headers }, ...connected };
  const before = Object.create(
    request,
    request === (raw as unknown) ? own : { ...own, raw: { value: Object.create(raw as object, own) as unknown } },
  ) as object;
  for (const name of RESOLVED) {
    const getter = getterOf(request, name);
    const isAddress = name === 'ip' || name === 'ips';
    if (getter === undefined) {
      if (isAddress) patched.watch(request, name, () => note('ip'));
      continue;
    }
    patched.replace(request, name, () => {
      if (isAddress) note('ip');
      return getter.call(before) as unknown;
    });
  }
}

function urls(patched: PatchedRequest, targets: readonly object[], query: Fields | undefined, note: () => void): void {
  for (const target of targets) {
    for (const name of ['url', 'originalUrl']) {
      const url = Reflect.get(target, name) as unknown;
      if (typeof url !== 'string') continue;
      const shown = query === undefined ? url : narrowUrl(url, query);
      patched.replace(target, name, () => (note(), shown));
    }
  }
}

function cookies(
  patched: PatchedRequest,
  target: object,
  name: string,
  policy: CompiledPolicy,
  note: (name: InputName) => void,
): void {
  if (policy.cookies === undefined) return watch(patched, target, name, (cookie) => note(`cookie:${cookie}`));
  const parsed = fieldsAt(target, name);
  if (parsed) narrow(patched, target, name, narrowCookies(parsed, policy.cookies));
}

function narrow(patched: PatchedRequest, target: object, name: string, shown: Fields): void {
  if (fieldsAt(target, name)) patched.replace(target, name, () => shown);
}

function watch(patched: PatchedRequest, target: object, name: string, report: (name: string) => void): void {
  const fields = fieldsAt(target, name);
  if (!fields) return;
  const watched = recordingProxy(fields, report);
  patched.replace(target, name, () => watched);
}

function fieldsAt(target: object, name: string): Fields | undefined {
  const fields = Reflect.get(target, name) as Fields | null | undefined;
  return typeof fields === 'object' && fields !== null ? fields : undefined;
}

/** Requests with a user go past a public cache, so those that get there have none; unless it is for everybody. */
function isOfNobody(policy: CompiledPolicy): boolean {
  return !policy.isPrincipal && policy.public === false;
}

function getterOf(target: object, name: string): (() => unknown) | undefined {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const descriptor = Object.getOwnPropertyDescriptor(at, name);
    if (descriptor !== undefined) return descriptor.get as (() => unknown) | undefined;
  }
  return undefined;
}

function rawHeaders(headers: IncomingHttpHeaders): string[] {
  return Object.entries(distinct(headers)).flatMap(([name, values]) => values.flatMap((value) => [name, value]));
}

function distinct(headers: IncomingHttpHeaders): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value : [value ?? '']]),
  );
}
