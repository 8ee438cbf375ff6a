import { deepFreeze } from './deep-freeze.js';
import { dropProto } from './drop-proto.js';
import { MAX_DEPTH } from './side-table.js';

const EMPTY = {};

/**
 * {@link deepFreeze} for what JSON.parse has just made, a tree of plain data that nobody else holds; drops own `__proto__` keys on the
 * way. Several times as fast.
 */
export function freezeParsed(value: unknown): unknown {
  // With a polluted prototype for...in would reach objects that are not ours.
  if (isPolluted()) return deepFreeze(dropProto(value));
  if (typeof value === 'object' && value !== null) freezeTree(value, 0);
  return value;
}

function isPolluted(): boolean {
  let inherited = 0;
  for (const key in EMPTY) inherited += key.length + 1;
  return inherited > 0;
}

function freezeTree(tree: object, depth: number): void {
  if (depth > MAX_DEPTH) {
    deepFreeze(dropProto(tree));
    return;
  }
  if (Array.isArray(tree)) {
    for (let i = 0; i < tree.length; i++) {
      const item: unknown = tree[i];
      if (typeof item === 'object' && item !== null) freezeTree(item, depth + 1);
    }
  } else {
    for (const key in tree) {
      if (key === '__proto__') {
        Reflect.deleteProperty(tree, key);
        continue;
      }
      const item = (tree as Record<string, unknown>)[key];
      if (typeof item === 'object' && item !== null) freezeTree(item, depth + 1);
    }
  }
  Object.freeze(tree);
}
