import { Catch, Inject, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { BaseExceptionFilter, ModulesContainer } from '@nestjs/core';
import { throwError } from 'rxjs';
import { sendEvent } from '../gateway-client.js';
import { ColdCacheException } from './cold-cache.exception.js';

/** Where Nest keeps what a filter's `@Catch()` names; its own constant is exported from different places in 11 and 12. */
const CATCHES = '__filterCatchExceptions__';

/** What is sent where there is no status and no header: to microservices, and to WebSocket clients as the event `exception`. */
export interface ColdCacheMessage {
  readonly status: 'error';
  readonly code: 'cold_cache';
  readonly message: string;
  /** Milliseconds until it is worth asking again. */
  readonly retryAfterMs: number;
}

/**
 * Tells a client of a {@link ColdCacheException} when to come back, in the way of its transport:
 * - HTTP: `Retry-After` (RFC 9110, 10.2.3), and else what Nest answers to any HttpException: 503 and the exception's body.
 * - Microservices: fails with a {@link ColdCacheMessage}. WebSockets: sends one as the event `exception`, as Nest's own filter does.
 * - GraphQL: the error itself, whose `extensions` have the code, the status and the header.
 *
 * TieredCacheModule binds it globally. Filters of yours come first, as ever in Nest: one on the handler or its controller, or given to
 * `app.useGlobalFilters()`, answers in its place and sets the header itself, from `exception.retryAfterSeconds`. One bound by
 * `APP_FILTER` answers, too, with the header set already. Nest binds no global filters to gateways, nor to the microservices of a
 * hybrid application that does not inherit its configuration: write `@UseFilters(ColdCacheFilter)` there.
 */
@Catch(ColdCacheException)
export class ColdCacheFilter extends BaseExceptionFilter<ColdCacheException> {
  private others: readonly ExceptionFilter[] | undefined;

  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {
    super();
  }

  override catch(exception: ColdCacheException, host: ArgumentsHost): unknown {
    switch (host.getType<string>()) {
      case 'http':
        return this.answer(exception, host);
      case 'rpc':
        return throwError(() => this.message(exception));
      case 'ws':
        sendEvent(host.switchToWs().getClient<object>(), 'exception', this.message(exception));
        return undefined;
      case 'graphql':
        return exception;
      default:
        // "Not handled": thrown on to who called.
        return undefined;
    }
  }

  /** For other shapes: override it and bind the subclass by `APP_FILTER`. */
  protected message({ code, message, retryAfterMs }: ColdCacheException): ColdCacheMessage {
    return { status: 'error', code, message, retryAfterMs };
  }

  private answer(exception: ColdCacheException, host: ArgumentsHost): unknown {
    const response: unknown = host.switchToHttp().getResponse();
    const adapter = this.httpAdapterHost?.httpAdapter;
    if (adapter && !adapter.isHeadersSent(response))
      adapter.setHeader(response, 'Retry-After', String(exception.retryAfterSeconds));
    // Nest asks one filter only, and of those bound by APP_FILTER the one of the module imported last: this one, before the application's.
    const other = this.findOthers().findLast((filter) => catches(filter, exception));
    return other ? (other.catch(exception, host) as unknown) : super.catch(exception, host);
  }

  /** Bound by `APP_FILTER`, in Nest's order. */
  private findOthers(): readonly ExceptionFilter[] {
    if (this.others) return this.others;
    const found: ExceptionFilter[] = [];
    for (const module of this.modules.values()) {
      for (const { subtype, instance } of module.providers.values() as Iterable<{
        subtype?: string;
        instance: unknown;
      }>) {
        const isOther = subtype === 'filter' && instance && !(instance instanceof ColdCacheFilter);
        if (isOther) found.push(instance as ExceptionFilter);
      }
    }
    return (this.others = found);
  }
}

/** By Nest's rule: a filter that names no class catches everything. */
function catches(filter: ExceptionFilter, exception: Error): boolean {
  const classes = (Reflect.getMetadata(CATCHES, filter.constructor) ?? []) as Array<new () => unknown>;
  return classes.length === 0 || classes.some((type) => exception instanceof type);
}
