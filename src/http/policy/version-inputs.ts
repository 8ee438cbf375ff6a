import { VersioningType, type VersioningOptions } from '@nestjs/common';
import type { InputName } from './input-name.js';

/** How Nest tells API versions from requests; `'unknown'` if it does not show it. */
export type Versioning = VersioningOptions | 'unknown' | undefined;

/**
 * What of a request, besides its URL, has chosen a handler of these declared versions. Our key has the versions themselves; a cache in front
 * must be told, or kept out where it cannot see it.
 */
export function versionInputs(versioning: Versioning, declared: string): readonly InputName[] {
  if (versioning === undefined) return [];
  if (versioning === 'unknown') return declared === '' ? [] : UNSEEN;
  if (declared === '' && versioning.defaultVersion === undefined) return [];
  switch (versioning.type) {
    case VersioningType.HEADER:
      return [`header:${versioning.header.toLowerCase()}`];
    case VersioningType.MEDIA_TYPE:
      return ['header:accept'];
    case VersioningType.CUSTOM:
      return UNSEEN;
    default:
      return [];
  }
}

/** No property of a request has this name: a handler that reads one still has to say so. */
const UNSEEN: readonly InputName[] = ['request:(version)'];
