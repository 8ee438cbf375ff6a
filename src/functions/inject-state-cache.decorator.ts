import { Inject } from '@nestjs/common';

/**
 * Injects the cache of a definition whose `asProvider()` is among the module's providers.
 * @example constructor(@InjectStateCache(paymentCache) private readonly payments: StateCacheOf<typeof paymentCache>) {}
 */
export function InjectStateCache(definition: { readonly token: symbol }): PropertyDecorator & ParameterDecorator {
  return Inject(definition.token);
}
