import type { RequestContext } from './request-context.js';
import type { Ending } from './scope-of-request.js';

/** As much of a Nest HTTP adapter as is needed here. */
interface Adapter {
  use?(...handlers: unknown[]): unknown;
  getType?(): string;
  getInstance(): unknown;
}

type Use = (this: unknown, ...handlers: unknown[]) => unknown;

interface Fastify {
  use?: Use;
  addHook(
    name: 'onRequest',
    hook: (request: Readonly<Record<string, unknown>>, reply: { readonly raw: Ending }, done: () => void) => void,
  ): unknown;
}

/** Opens a request scope before every route. Without an HTTP adapter (a worker, a script) or a request tier it does nothing. */
export function mountRequestContext(context: RequestContext, adapter: Adapter | undefined): void {
  if (!context.isEnabled || typeof adapter?.use !== 'function') return;
  if (adapter.getType?.() === 'fastify') mountOnFastify(context, adapter.getInstance() as Fastify);
  else adapter.use(context.middleware);
}

/**
 * Middleware costs each request of Fastify something, even if it only calls `next()`: ours is mounted with the first other one, and in front of
 * it. Where there is none, a hook is enough.
 */
function mountOnFastify(context: RequestContext, fastify: Fastify): void {
  fastify.addHook('onRequest', (request, { raw }, done) => context.arrive(request, raw, done));
  const { use } = fastify;
  if (use === undefined) return;
  fastify.use = function (...handlers) {
    fastify.use = use;
    use.call(fastify, context.middleware);
    return use.apply(this, handlers);
  };
}
