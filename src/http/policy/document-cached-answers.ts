import type { Type } from '@nestjs/common';
import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { documentAnswers } from '../../documented-answers.js';
import type { Handler } from './of-handlers.js';
import { readRoutes } from './read-routes.js';
import { cacheMarks } from './response-cache.metadata.js';

const text = (description: string): object => ({ description, schema: { type: 'string' } });

const OF_BOTH = {
  ETag: text('Names this version of the response; send it back in If-None-Match'),
  'Cache-Control': text('How long it may be kept, and by whom (RFC 9111)'),
  'Cache-Status': text('Whether it came from the cache (RFC 9211)'),
};

const OF_SUCCESS = {
  ...OF_BOTH,
  Age: { description: 'Seconds since it was made', schema: { type: 'integer', minimum: 0 } },
};

/** Adds 304 and the headers of the cache to the documented answers of each route whose whole response is kept. */
export function documentCachedAnswers(
  discovery: Pick<DiscoveryService, 'getControllers'>,
  scanner: Pick<MetadataScanner, 'getAllMethodNames'>,
): void {
  for (const { controller, handler } of readRoutes(discovery, scanner)) {
    if (!isPage(controller, handler)) continue;
    documentAnswers(controller, handler, { 304: { description: 'Not modified', headers: OF_BOTH } }, OF_SUCCESS);
  }
}

function isPage(controller: Type, handler: Handler): boolean {
  const { ofClass, ofHandler } = cacheMarks(controller, handler);
  const mark = ofHandler ?? ofClass;
  return mark !== undefined && mark !== false && mark.kind === 'page';
}
