import { REQUEST_CONTEXT_ID } from '@nestjs/core/router/request/request-constants.js';

type Carrier = { readonly [REQUEST_CONTEXT_ID]?: { readonly payload?: unknown } };

/**
 * The payload of a call's DI context. Durable providers are made of it, before anybody could see what they read, and their tenant is known to
 * nobody else.
 */
export function contextPayloadOf(carrier: object | undefined): unknown {
  return (carrier as Carrier | undefined)?.[REQUEST_CONTEXT_ID]?.payload;
}
