import type { KeyPart } from '../../core/cache.options.js';
import type { InputName } from '../policy/input-name.js';
import type { RequestView } from '../policy/request-view.js';
import { Bypass } from './bypass.js';
import type { KeyComponent } from './key-component.js';
import { partOf } from './key-text.js';

/** What `custom()` takes besides its function. */
export interface CustomOptions {
  /** What messages call it. Default `custom`. */
  readonly name?: string;
  /** Inputs it stands for, besides those it looks at: `['header:x-shop']`. */
  readonly covers?: readonly InputName[];
}

/**
 * Whatever tells responses apart and no other component reads: what the function returns is a part of the key. What it looks at is
 * covered; a response of a handler that reads more is not stored. `undefined` goes past the cache. Sent as `Cache-Control: private`.
 * @example custom((view) => view.request.shop.catalogueId)
 */
export function custom(
  read: (view: RequestView) => KeyPart,
  { name = 'custom', covers = [] }: CustomOptions = {},
): KeyComponent {
  return {
    name,
    covers,
    isLearned: true,
    isOpaque: true,
    read(view) {
      const part = read(view);
      return part === undefined ? new Bypass('key') : partOf(part);
    },
  };
}

/**
 * A version. A name is a tag: entries carry it, and invalidating it makes them all misses. A function's answer is part of the key, so that
 * entries of other versions are no longer found.
 * @example byVersion('catalogue')
 * @example byVersion(() => settings.catalogueVersion)
 */
export function byVersion(version: string | ((view: RequestView) => string | number)): KeyComponent {
  if (typeof version === 'string') return { name: 'version', covers: [], tags: [version], read: () => version };
  return { ...custom(version, { name: 'version' }), isOpaque: false };
}
