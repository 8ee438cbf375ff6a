import { Logger } from '@nestjs/common';
import type { InputName } from './input-name.js';

const logger = new Logger('ResponseCache');
const told = new WeakSet<object>();

/** Nobody would look for a reason where a page is merely never stored. Once for each policy, that is for each handler. */
export function tellUnkeyed(policy: { readonly where: string }, input: InputName): void {
  if (told.has(policy)) return;
  told.add(policy);
  // A handler that goes through all there is reads names that clients have made up.
  const name = JSON.stringify(input.slice(0, 80));
  const storages = input === 'context' ? ' (an AsyncLocalStorage that middleware or a guard has filled)' : '';
  const mend = input === 'context' ? 'ignoreContexts: [storage]' : `ignore: [${name}]`;
  logger.warn(
    `${policy.where}: not stored, because the handler has read ${name}${storages}, which the key does not tell: name it in the key or, if the answer does not depend on it, say autoVary: { ${mend} }`,
  );
}
