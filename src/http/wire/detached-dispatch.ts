import { AsyncResource } from 'node:async_hooks';
import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpServer } from '@nestjs/common';
import type { TapOutcome } from './captured.js';
import { incomingMessage, type DetachedRequest } from './detached-request.js';
import { rawRequestOf } from './raw-exchange.js';
import { tapOf } from './response-tap.js';

const TASK = Symbol('nestjs-tiered-cache:detached-task');

/** No store of the request at hand (AsyncLocalStorage) reaches a detached one. */
const outside = new AsyncResource('DetachedDispatch');

export interface DetachedDispatchOptions {
  readonly request: DetachedRequest;
  /** What the interceptor finds with `detachedTaskOf`; anything but `undefined`. */
  readonly task: unknown;
  /** Stops the run: the application sees its client leave, the outcome is `timeout`. */
  readonly signal?: AbortSignal;
}

/** The task of a request that was dispatched here; `undefined` for one of a client. */
export function detachedTaskOf(request: unknown): unknown {
  return (rawRequestOf(request) as unknown as Record<symbol, unknown>)[TASK];
}

/**
 * Runs a request through the whole application again, without a client: middleware, guards, interceptors, pipes, handler. The interceptor of
 * the route recognises it by its task and has to tap its response (`tapResponse`); the outcome is that of this tap.
 *
 * Never rejects: `not-reached` when the response was over without a tap (a guard denied, the route is another), `timeout` when `signal` fired.
 *
 * @example
 * const outcome = await dispatchDetached(host.httpAdapter, { request: detachedRequestOf(request), task: { refresh: key }, signal });
 */
export function dispatchDetached(adapter: HttpServer, options: DetachedDispatchOptions): Promise<TapOutcome> {
  const { signal, task } = options;
  if (signal?.aborted) return Promise.resolve({ reason: 'timeout', error: signal.reason as unknown });
  return outside.runInAsyncScope(() => {
    const request = incomingMessage(options.request);
    Object.defineProperty(request, TASK, { value: task });
    const response = detachedResponse(request);
    return new Promise<TapOutcome>((resolve) => {
      const settle = (outcome: TapOutcome) => {
        signal?.removeEventListener('abort', stop);
        resolve(outcome);
      };
      const stop = () => {
        tapOf(response)?.fail('timeout', signal?.reason);
        settle({ reason: 'timeout', error: signal?.reason as unknown });
        disconnect(request, response);
      };
      signal?.addEventListener('abort', stop, { once: true });
      response.once('close', () => {
        const tap = tapOf(response);
        if (!tap) return settle({ reason: 'not-reached', status: response.statusCode });
        // Whatever comes now comes too late: nobody is left to be written to.
        if (!tap.ended) tap.fail('aborted');
        return void tap.finished.then(settle);
      });
      try {
        (adapter.getHttpServer() as NodeJS.EventEmitter).emit('request', request, response);
      } catch (error) {
        settle({ reason: 'failed', error });
        disconnect(request, response);
      }
    });
  });
}

/** A response on the connection of `request`, which ends with it as Node's server ends one (`finish`, then `close`). */
function detachedResponse(request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  const { socket } = request;
  response.assignSocket(socket);
  // Nest, Fastify and three watched streams have eleven of their own, as on any other response that is not of Node's server.
  response.setMaxListeners(30);
  response.on('error', () => undefined);
  request.on('error', () => undefined);
  response.once('finish', () => {
    response.detachSocket(socket);
    request.resume();
    process.nextTick(() => {
      response.destroyed = true;
      response.emit('close');
      socket.destroy();
    });
  });
  // The client leaves: Node tells the request and the response.
  (socket as Socket).once('close', () => {
    if (!request.destroyed) request.destroy();
  });
  return response;
}

function disconnect(request: IncomingMessage, response: ServerResponse): void {
  response.destroy();
  request.socket.destroy();
}
