import type { ExecutionContext, Type } from '@nestjs/common';
import { SSE_METADATA } from '@nestjs/common/constants.js';
import { closestName } from '../../closest-name.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { fail } from '../../option-checks.js';
import { storageWatch } from '../contexts/storage-watch.js';
import { compilePolicy, type CompiledPolicy } from './compiled.policy.js';
import { checkLanePolicy } from '../lane/lane-policy.js';
import { mayShare } from '../shared-paths.js';
import { handlerIdentity } from './handler-identity.js';
import { OfHandlers, type Handler } from './of-handlers.js';
import { validatePolicy } from './policy.validation.js';
import { cacheMarks } from './response-cache.metadata.js';
import type { ResponseCachePolicy } from './response-cache.policy.js';

export interface ResponseCacheOptions {
  /** Under every other policy. */
  readonly base?: ResponseCachePolicy;
  /** Policies to be named by decorators. */
  readonly policies?: Readonly<Record<string, ResponseCachePolicy>>;
  /** Handlers without a decorator are cached, too, by the base policy. Default `false`. */
  readonly cacheAll?: boolean;
}

/** Which policy holds for which handler: base, named, controller's, handler's, the later winning field by field. */
export class ResponseCachePolicies {
  /** Of all handlers that were asked about. */
  readonly known = new Set<CompiledPolicy>();
  /** Whether any of them has pages that several paths share. */
  sharesPaths = false;
  private readonly compiled = new OfHandlers<CompiledPolicy | false>();
  private readonly named: ReadonlyMap<string, ResponseCachePolicy>;

  /** @throws CacheUsageError for a malformed policy, naming the field */
  constructor(private readonly options: ResponseCacheOptions = {}) {
    if (options.base !== undefined) this.checked(options.base, 'responses.base');
    this.named = new Map(Object.entries(options.policies ?? {}));
    for (const [name, policy] of this.named) this.checked(policy, `responses.policies.${name}`);
  }

  /** The policy of a call's handler; `undefined` if it is not cached. */
  of(context: Pick<ExecutionContext, 'getClass' | 'getHandler'>): CompiledPolicy | undefined {
    return this.ofHandler(context.getClass(), context.getHandler() as Handler);
  }

  /**
   * Computed once for a method of a class.
   * @throws CacheUsageError `unknown_policy`, `invalid_option`
   */
  ofHandler(controller: Type, handler: Handler): CompiledPolicy | undefined {
    let policy = this.compiled.get(controller, handler);
    if (policy === undefined) {
      policy = this.compiled.set(controller, handler, this.compile(controller, handler) ?? false);
      if (policy !== false) {
        this.known.add(policy);
        this.noteSharing(policy, controller, handler);
      }
    }
    return policy === false ? undefined : policy;
  }

  /** Of a policy that was compiled for a handler. */
  noteSharing(policy: CompiledPolicy, controller: Type, handler: Handler): void {
    this.sharesPaths ||= mayShare(policy.covers, handlerIdentity(controller, handler).route);
  }

  private compile(controller: Type, handler: Handler): CompiledPolicy | undefined {
    const { ofClass, ofHandler } = cacheMarks(controller, handler);
    const nearest = ofHandler ?? ofClass;
    if (nearest === false || (nearest === undefined && this.options.cacheAll !== true)) return undefined;
    // A stream of events has no end.
    if (Reflect.hasMetadata(SSE_METADATA, handler)) return undefined;
    const where = handlerIdentity(controller, handler).name;
    const layers: ResponseCachePolicy[] = [this.options.base ?? {}];
    for (const mark of [ofClass, ofHandler]) {
      if (mark === undefined || mark === false) continue;
      if (mark.policy.extends !== undefined) layers.push(this.namedPolicy(mark.policy.extends, where));
      layers.push(mark.policy);
    }
    const policy = compilePolicy(merged(layers), nearest?.kind ?? 'page', where);
    if (policy.beforeGuards) checkLanePolicy(policy);
    // Before the first request fills a storage.
    if (policy.contexts) storageWatch();
    return policy;
  }

  private namedPolicy(name: string, where: string): ResponseCachePolicy {
    const policy = this.named.get(name);
    if (policy !== undefined) return policy;
    const known = [...this.named.keys()];
    const closest = closestName(name, known);
    const mend = closest !== undefined ? `did you mean "${closest}"?` : `known are ${known.join(', ') || 'none'}`;
    throw new CacheUsageError('unknown_policy', `${where}: no response cache policy "${name}"; ${mend}`);
  }

  private checked(policy: ResponseCachePolicy, where: string): void {
    validatePolicy(policy, where);
    if (policy.extends !== undefined)
      fail(`${where}.extends`, 'left out; only decorators start from a named policy', policy.extends);
  }
}

/** A field that is there but `undefined` is no wish to override. */
function merged(layers: readonly ResponseCachePolicy[]): ResponseCachePolicy {
  const policy: Record<string, unknown> = {};
  for (const layer of layers)
    for (const [name, value] of Object.entries(layer)) if (value !== undefined) policy[name] = value as unknown;
  return policy;
}
