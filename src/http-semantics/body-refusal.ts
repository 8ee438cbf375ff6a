import { fieldLines, fieldText } from './fields/fields.js';
import type { CachePolicy } from './cache-policy.js';
import type { Exchange } from './exchange.js';
import type { Refusal } from './storable.js';
import { varyNames } from './vary.js';

/** Why a body is not stored: a stream, recoded or personal without saying so, too large, not all there. */
export function bodyRefusal({ response: { headers }, body }: Exchange, policy: CachePolicy): Refusal | undefined {
  const type = fieldText(headers, 'content-type')?.trim().toLowerCase();
  if (!policy.cacheStreams && type?.startsWith('text/event-stream')) return 'stream';
  if (policy.mode === 'ttl') {
    const coding = fieldText(headers, 'content-encoding')?.trim().toLowerCase();
    const varies = varyNames(headers);
    if (coding && coding !== 'identity' && !varies.includes('accept-encoding')) return 'coding-without-vary';
    if (fieldText(headers, 'content-security-policy')?.toLowerCase().includes("'nonce-")) return 'nonce';
  }
  const lengths = new Set(
    fieldLines(headers, 'content-length')
      .flatMap((line) => line.split(','))
      .map(Number),
  );
  if (lengths.size > 1) return 'incomplete';
  const [length] = lengths;
  if (length !== undefined && length > policy.maxBytes) return 'too-large';
  if (!body) return undefined;
  if (body.bytes > policy.maxBytes) return 'too-large';
  return body.isComplete && (length === undefined || length === body.bytes) ? undefined : 'incomplete';
}
