import type { CompiledPolicy } from './compiled.policy.js';
import type { InputName } from './input-name.js';

/**
 * Whether the URL and `Vary` tell apart what a key does. A function may go by anything (an AsyncLocalStorage, say); addresses, and what guards
 * have found out, are in no request as a cache in front sees it.
 */
export function isToldDownstream(
  { components, keyFunction }: Pick<CompiledPolicy, 'components' | 'keyFunction'>,
  covered: Iterable<InputName>,
): boolean {
  if (keyFunction !== undefined || components.some(({ isOpaque }) => isOpaque)) return false;
  return [...covered].every((name) => name !== 'ip' && !name.startsWith('request:'));
}
