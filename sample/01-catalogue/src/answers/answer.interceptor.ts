import { Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { map, type Observable } from 'rxjs';
import type { ServerResponse } from 'node:http';
import { Answer } from './answer.js';

/** Shows by response headers how long it took on the server and, of what is no cached response (`Cache-Status` tells that), which tier answered. */
@Injectable()
export class AnswerInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    const start = performance.now();
    const response = context.switchToHttp().getResponse<ServerResponse>();
    return next.handle().pipe(
      map((result) => {
        response.setHeader('x-response-time-ms', (performance.now() - start).toFixed(3));
        if (!(result instanceof Answer)) return result;
        response.setHeader('x-cache-tier', result.tier);
        response.setHeader('server-timing', `cache;dur=${result.cacheMs.toFixed(3)}`);
        return result.value;
      }),
    );
  }
}
