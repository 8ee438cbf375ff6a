import type { HttpServer } from '@nestjs/common';
import { rawResponseOf } from './raw-exchange.js';
import { takeAnswer } from './pending-answer.js';
import { tapOf } from './response-tap.js';
import { writeAnswer } from './write-answer.js';

type Exits = {
  reply(response: unknown, body: unknown, status?: number): unknown;
  redirect(response: unknown, status: number, url: string): unknown;
  render(response: unknown, view: string, options: unknown): unknown;
  end(response: unknown, message?: string): unknown;
};

const patched = new WeakSet<HttpServer>();

/**
 * Wraps the four exits of an adapter instance once. Without a stored response for the request at hand each does what it did.
 */
export function patchAdapter(adapter: HttpServer): void {
  if (patched.has(adapter)) return;
  patched.add(adapter);
  const exits = adapter as unknown as Exits;
  const { reply, redirect, render, end } = exits;
  exits.reply = function (response, body, status) {
    const found = takeAnswer(response, 'reply', body, status);
    return found ? writeAnswer(response, found) : Reflect.apply(reply, this, [response, body, status]);
  };
  exits.redirect = function (response, status, url) {
    const found = takeAnswer(response, 'redirect', url, status);
    return found ? writeAnswer(response, found) : Reflect.apply(redirect, this, [response, status, url]);
  };
  exits.render = function (response, view, options) {
    const found = takeAnswer(response, 'render', view, undefined);
    return found ? writeAnswer(response, found) : Reflect.apply(render, this, [response, view, options]);
  };
  exits.end = function (response, message) {
    // Only exception filters end a response, when its headers are out already: it is cut off, though it looks whole.
    const tap = tapOf(rawResponseOf(response));
    if (tap && !tap.ended) tap.fail('aborted');
    return Reflect.apply(end, this, [response, message]);
  };
}
