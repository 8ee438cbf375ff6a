import type { Server } from 'node:http';
import type { HttpServer } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import type { CacheEngine } from '../core/cache-engine.js';
import type { CacheService } from '../core/cache.service.js';
import type { NamespaceOptions } from '../core/cache.options.js';
import type { GuardAnswer } from './guard-answer.js';
import type { BypassedPage } from './keys/page-key.js';
import { FastLane, type FastLaneOptions } from './lane/fast-lane.js';
import { pageCodec } from './page.codec.js';
import type { PageRequest } from './page-request.js';
import { PageRequests } from './page-requests.js';
import type { CompiledPolicy } from './policy/compiled.policy.js';
import { OfHandlers } from './policy/of-handlers.js';
import type { ResponseCacheInterceptor } from './response-cache.interceptor.js';
import type { RequestView } from './policy/request-view.js';
import type { Versioning } from './policy/version-inputs.js';
import type { ResponseCachePolicies } from './policy/response-cache.policies.js';
import { ResponseCache } from './response-cache.js';
import { ValueCache } from './value-cache.js';

/** The response caches of an application: one for each namespace that its policies name. */
export class ResponseCaches {
  readonly requests: PageRequests;
  /** In front of the application, if a policy has it there. */
  lane: FastLane | undefined;
  /** Handlers with interceptors outside of the cache's, and which of ours is theirs; `false` if it belongs to one request. */
  readonly behindOthers = new OfHandlers<ResponseCacheInterceptor | false>();
  /** Handlers whose hits are sent before any interceptor runs. */
  readonly answeredInGuard = new OfHandlers<GuardAnswer>();
  /** Their keys depend on something that interceptors outside of the cache's put on the request. */
  readonly keyedLate = new WeakSet<CompiledPolicy>();
  private readonly pages = new Map<string, ResponseCache>();
  private readonly values = new Map<string, ValueCache>();

  constructor(
    readonly policies: ResponseCachePolicies,
    private readonly engine: CacheEngine,
    private readonly host: HttpAdapterHost | undefined,
    private readonly complete: (namespace: NamespaceOptions) => NamespaceOptions,
    private readonly cacheName: string,
    surrogateKeys?: string,
  ) {
    this.requests = new PageRequests(cacheName, surrogateKeys?.toLowerCase());
  }

  /** Makes the namespaces of all known policies, so that they are there before the first request. @param versioning of the application */
  prepare(versioning: () => Versioning): void {
    this.requests.versioning = versioning;
    for (const { kind, namespace } of this.policies.known)
      if (kind === 'page') this.pagesOf(namespace);
      else this.valuesOf(namespace);
  }

  /** Hits of policies with `beforeGuards` are answered in front of everything that listens for requests by now. */
  openLane(options: Omit<FastLaneOptions, 'cacheName' | 'versioning'>): void {
    const server = this.host?.httpAdapter?.getHttpServer() as Server | undefined;
    const isWanted = [...this.policies.known].some(({ beforeGuards }) => beforeGuards);
    if (!isWanted || this.isOff || typeof server?.removeAllListeners !== 'function') return;
    this.lane = new FastLane({ ...options, cacheName: this.cacheName, versioning: this.requests.versioning });
    this.lane.mount(server);
  }

  /** What a call asks the cache of whole responses for. */
  asked(view: RequestView, policy: CompiledPolicy): PageRequest | BypassedPage {
    const request = this.requests.of(view, policy);
    if (policy.beforeGuards && !('bypass' in request))
      this.lane?.learn(view, policy, request.place, this.pagesOf(policy.namespace));
    return request;
  }

  /** Of whole responses. */
  pagesOf(namespace: string): ResponseCache {
    let cache = this.pages.get(namespace);
    if (cache === undefined) {
      cache = new ResponseCache(
        this.engine.addNamespace(this.complete({ name: namespace, requestTier: false }), pageCodec),
        () => this.adapter,
      );
      this.pages.set(namespace, cache);
    }
    return cache;
  }

  /** Of what handlers return; in a namespace beside that of whole responses, for another form of data. */
  valuesOf(namespace: string): ValueCache {
    let cache = this.values.get(namespace);
    if (cache === undefined) {
      const name = `${namespace}-values`;
      // Outer interceptors may change what they are given.
      cache = new ValueCache(
        this.engine.addNamespace(this.complete({ name, isolation: 'copy', requestTier: false })),
        () => this.adapter,
      );
      this.values.set(namespace, cache);
    }
    return cache;
  }

  /** Tags belong to no namespace. */
  get anyCache(): CacheService {
    return this.engine.namespace('default');
  }

  get isOff(): boolean {
    return this.engine.passThrough;
  }

  private get adapter(): HttpServer {
    return this.host?.httpAdapter as HttpServer;
  }
}
