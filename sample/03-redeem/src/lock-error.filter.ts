import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { ServerResponse } from 'node:http';
import { LockLostError } from 'nestjs-tiered-cache';
import { StaleLeaseError } from 'nestjs-tiered-cache/fencing';

/** The attempt was overtaken: nothing was redeemed, and the same request may be sent again. */
@Catch(LockLostError, StaleLeaseError)
export class LockErrorFilter implements ExceptionFilter {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch({ code, message }: LockLostError | StaleLeaseError, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<ServerResponse>();
    response.setHeader('retry-after', '1');
    this.adapterHost.httpAdapter.reply(response, { statusCode: 503, code, message }, 503);
  }
}
