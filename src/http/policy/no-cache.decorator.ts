import { markCached } from './response-cache.metadata.js';

/** Takes a handler, or a controller, out of the response cache, whatever its controller or the module says. */
export function NoCache(): ClassDecorator & MethodDecorator {
  return markCached(false);
}
