import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { ServerResponse } from 'node:http';
import { LockLostError, LockStoreUnavailableError, ResourceLockedError } from 'nestjs-tiered-cache';
import { StaleLeaseError } from 'nestjs-tiered-cache/fencing';

/** Nothing was redeemed, and the same request may be sent again: 429 while others are at the policy, 503 if the attempt was lost. */
@Catch(ResourceLockedError, LockStoreUnavailableError, LockLostError, StaleLeaseError)
export class LockErrorFilter implements ExceptionFilter {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(error: ResourceLockedError | LockLostError | StaleLeaseError, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<ServerResponse>();
    const isLocked = error instanceof ResourceLockedError;
    const statusCode = isLocked ? 429 : 503;
    response.setHeader('retry-after', String(isLocked ? error.retryAfterSeconds : 1));
    this.adapterHost.httpAdapter.reply(response, { statusCode, code: error.code, message: error.message }, statusCode);
  }
}
