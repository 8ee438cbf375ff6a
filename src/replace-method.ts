import 'reflect-metadata';

export type Method = (...args: unknown[]) => unknown;

/**
 * Puts `replacement` in the place of a decorated method; other decorators, above and below, must find the method they expect: its name,
 * its length and its metadata.
 */
export function replaceMethod(descriptor: PropertyDescriptor, replacement: Method): void {
  const original = descriptor.value as Method;
  Object.defineProperty(replacement, 'name', { value: original.name, configurable: true });
  Object.defineProperty(replacement, 'length', { value: original.length, configurable: true });
  for (const key of Reflect.getOwnMetadataKeys(original)) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, original) as unknown, replacement);
  }
  descriptor.value = replacement;
}
