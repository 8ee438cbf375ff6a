import { Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { map, type Observable } from 'rxjs';
import { Answer } from './answer.js';

/** Shows by response headers which tier answered and how long it took on the server. */
@Injectable()
export class AnswerInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    const start = performance.now();
    const response = context.switchToHttp().getResponse<ServerResponse>();
    return next.handle().pipe(
      map((result) => {
        if (!(result instanceof Answer)) return result;
        response.setHeader('x-cache-tier', result.tier);
        response.setHeader('server-timing', `cache;dur=${result.cacheMs.toFixed(3)}`);
        response.setHeader('x-response-time-ms', (performance.now() - start).toFixed(3));
        return result.value;
      }),
    );
  }
}
