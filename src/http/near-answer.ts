import type { Answer } from '../http-semantics/answer.js';
import { bodyOf, type Page } from './page.js';
import type { Answer as Stored, HeaderFields } from './wire/index.js';

/** A stored page, and the response made of it. */
export interface NearAnswer {
  readonly page: Page;
  readonly made: Answer;
}

/** The bytes of the response, if it has any. Those of a HEAD are not sent: it is told the length of what a GET would be sent. */
export function bytesOf({ page, made }: NearAnswer, method: string): Buffer | undefined {
  const isWhole = made.body === 'full' || (method === 'HEAD' && made.status === page.stored.status);
  return isWhole ? page.body : bodyOf(page, made.body).body;
}

/** The response, to be replayed. */
export function storedOf(near: NearAnswer, method: string): Stored {
  const { page, made } = near;
  const { status, headers } = made;
  const body = bytesOf(near, method);
  const stored = body === undefined ? { status, headers } : { status, headers, body };
  if (page.removed === undefined && page.appended === undefined) return stored;
  // With a 304 go few fields of a page.
  const appended = body === undefined ? undefined : page.appended;
  return {
    ...stored,
    ...(page.removed && { removed: page.removed }),
    ...(appended && { appended: appended as HeaderFields }),
  };
}
