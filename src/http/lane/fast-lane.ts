import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Fields } from '../../http-semantics/fields/fields.js';
import { UNKNOWN_CONTEXTS } from '../contexts/handler-contexts.js';
import { changedQuery } from '../keys/changed-query.js';
import { RecentTexts } from '../keys/recent-texts.js';
import type { Place } from '../page-lookup.js';
import type { CompiledPolicy } from '../policy/compiled.policy.js';
import type { RequestView } from '../policy/request-view.js';
import type { Versioning } from '../policy/version-inputs.js';
import type { ResponseCache } from '../response-cache.js';
import { detachedTaskOf } from '../wire/index.js';
import { laneHeaders } from './lane-policy.js';
import { arrivedValues, arrivedWith, laneText, textOfArrival, valuesOf } from './lane-text.js';
import { writeNear } from './write-near.js';

/** Where the requests of a text go. */
interface Way {
  /** Headers whose values belong to the text, too; then `primary` stands under the longer text. */
  readonly names: readonly string[];
  readonly primary: string;
  readonly semantics: Place['semantics'];
  readonly pages: ResponseCache;
}

export interface FastLaneOptions {
  readonly cacheName: string;
  readonly versioning: () => Versioning;
  /** Requests to be left to the application. */
  readonly leavesAlone: (request: IncomingMessage) => boolean;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Answers hits of routes with `beforeGuards` in front of the application: no middleware, no guard, no interceptor runs for them. It knows which
 * page a request asks for only because the interceptor has seen the same request before; the page itself is looked up in the memory tier each
 * time, so that what was invalidated, has expired or was evicted is not served.
 */
export class FastLane {
  private readonly ways = new RecentTexts<Way>();
  private readonly headers = new WeakMap<CompiledPolicy, { readonly names: readonly string[] | undefined }>();

  constructor(private readonly options: FastLaneOptions) {}

  /** Puts it before everything that listens for requests now. */
  mount(server: Server): void {
    const listeners = server.listeners('request') as Listener[];
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      if (this.answer(request, response)) return;
      for (const listener of listeners) Reflect.apply(listener, server, [request, response]);
    });
  }

  /** Called by the interceptor: the page of a request that was routed to a handler. */
  learn(view: RequestView, policy: CompiledPolicy, { primary, semantics }: Place, pages: ResponseCache): void {
    const { raw } = view;
    const text = raw && textOfArrival(raw);
    // Middleware has made another request of it.
    if (raw === undefined || text === undefined || view.url !== view.routedUrl || changedQuery(view)) return;
    const names = this.namesOf(policy);
    const values = names && arrivedValues(raw, names);
    if (names === undefined || values === undefined) return;
    const known = this.ways.get(text + values);
    if (known?.primary === primary && known.semantics === semantics && this.ways.get(text)?.names === names) return;
    const way = { names, primary, semantics, pages };
    this.ways.set(text, way);
    if (names.length > 0) this.ways.set(text + values, way);
  }

  private answer(request: IncomingMessage, response: ServerResponse): boolean {
    const text = laneText(request);
    if (text === undefined || detachedTaskOf(request) !== undefined) return false;
    arrivedWith(request, text);
    const way = this.wayOf(request, text);
    if (way === undefined || this.options.leavesAlone(request)) return false;
    const { primary, semantics, pages } = way;
    const method = request.method as string;
    const place = { primary, semantics, headers: request.headers as Fields, contexts: UNKNOWN_CONTEXTS };
    const near = pages.near(place, method, this.options.cacheName);
    if (near === undefined) return false;
    writeNear(response, near, method);
    return true;
  }

  private wayOf(request: IncomingMessage, text: string): Way | undefined {
    const way = this.ways.get(text);
    return way === undefined || way.names.length === 0 ? way : this.ways.get(text + valuesOf(request, way.names));
  }

  private namesOf(policy: CompiledPolicy): readonly string[] | undefined {
    let known = this.headers.get(policy);
    if (known === undefined) {
      known = { names: laneHeaders(policy, this.options.versioning()) };
      this.headers.set(policy, known);
    }
    return known.names;
  }
}
