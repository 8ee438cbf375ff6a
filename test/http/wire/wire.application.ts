import 'reflect-metadata';
import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { ServerResponse } from 'node:http';
import { of, type Observable } from 'rxjs';
import { serve, type Platform, type Served } from '../../nest/boot.js';
import {
  answer,
  baselineOf,
  patchAdapter,
  rawResponseOf,
  tapResponse,
  watchHandler,
  type Answer,
  type HeaderFields,
  type ResponseTap,
  type TapOptions,
  type TapOutcome,
} from '../../../src/http/wire/index.js';

export const PLATFORMS: Platform[] = ['express', 'fastify'];

/** What the interceptor of the test does with the next requests, and what came of it. */
export class Wire {
  maxBytes = 1 << 20;
  decide: TapOptions['decide'];
  answer: Answer | undefined;
  untapped = false;
  readonly taps: ResponseTap[] = [];
  readonly baselines: HeaderFields[] = [];

  /** Outcome of the last tapped request. */
  get outcome(): Promise<TapOutcome> {
    return this.taps.at(-1)!.finished;
  }
}

@Injectable()
export class WireInterceptor implements NestInterceptor {
  constructor(
    private readonly host: HttpAdapterHost,
    private readonly wire: Wire,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { wire } = this;
    patchAdapter(this.host.httpAdapter);
    if (wire.answer) return of(answer(this.host.httpAdapter, context, wire.answer));
    if (wire.untapped) return next.handle();
    const response = context.switchToHttp().getResponse<object>();
    const baseline = baselineOf(response);
    const tap = tapResponse(rawResponseOf(response), {
      maxBytes: wire.maxBytes,
      baseline,
      ...(wire.decide && { decide: wire.decide }),
    });
    wire.taps.push(tap);
    wire.baselines.push(baseline);
    return next.handle().pipe(watchHandler(tap));
  }
}

export async function serveWire(
  platform: Platform,
  controllers: Type[],
  prepare: (app: INestApplication) => unknown = () => undefined,
): Promise<Served & { wire: Wire }> {
  const wire = new Wire();
  const served = await serve(
    platform,
    { imports: [], controllers, providers: [WireInterceptor, { provide: Wire, useValue: wire }] },
    prepare,
  );
  return { ...served, wire };
}

/** Patches `writeHead` as the package on-headers does: the listener runs last, when the head is about to be written. */
export function onHeaders(response: ServerResponse, listener: (this: ServerResponse) => void): void {
  const inner = response.writeHead as (...args: unknown[]) => ServerResponse;
  let fired = false;
  response.writeHead = function (this: ServerResponse, ...args: unknown[]) {
    const fields = (typeof args[1] === 'string' ? args[2] : args[1]) as Record<string, string> | undefined;
    for (const name of Object.keys(fields ?? {})) this.setHeader(name, fields![name]!);
    if (!fired) {
      fired = true;
      listener.call(this);
    }
    return Reflect.apply(inner, this, [args[0], ...(typeof args[1] === 'string' ? [args[1]] : [])]);
  } as ServerResponse['writeHead'];
}

interface FastifyLike {
  addHook(name: string, hook: (...args: never[]) => unknown): unknown;
}

export function fastifyOf(app: INestApplication): FastifyLike {
  return app.getHttpAdapter().getInstance() as FastifyLike;
}
