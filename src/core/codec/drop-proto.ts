/**
 * Deletes own `__proto__` keys from what JSON.parse has made, and returns it. With a list of its own instead of recursion: hostile text may
 * be nested deeper than the stack.
 */
export function dropProto(root: unknown): unknown {
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value)) Reflect.deleteProperty(value, '__proto__');
    for (const key of Object.keys(value)) pending.push((value as Record<string, unknown>)[key]);
  }
  return root;
}
