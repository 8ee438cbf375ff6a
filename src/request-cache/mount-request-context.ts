import type { RequestContext } from './request-context.js';

/** As much of a Nest HTTP adapter as is needed here. */
interface Adapter {
  use?(...handlers: unknown[]): unknown;
  getType?(): string;
  getInstance(): unknown;
}

interface Fastify {
  addHook(name: 'onRequest', hook: (request: unknown, reply: unknown, done: () => void) => void): unknown;
}

/** Opens a request scope before every route. Without an HTTP adapter (a worker, a script) or a request tier it does nothing. */
export function mountRequestContext(context: RequestContext, adapter: Adapter | undefined): void {
  if (!context.isEnabled || typeof adapter?.use !== 'function') return;
  adapter.use(context.middleware);
  if (!context.canForceMiss || adapter.getType?.() !== 'fastify') return;
  // Fastify's middleware sees node's request; guards put the user on Fastify's own.
  (adapter.getInstance() as Fastify).addHook('onRequest', (request, _reply, done) => {
    context.recognise(request);
    done();
  });
}
